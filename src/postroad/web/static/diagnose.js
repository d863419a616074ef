// The steps of a diagnosis appear as they are taken; without this script the page is fetched again by a link.
(() => {
  "use strict";
  const region = () => document.getElementById("diagnosis");
  if (!region() || region().dataset.state !== "running") return;

  let busy = false;
  let again = false;

  // An event only says that there is something new: what is shown is always the server's own page.
  async function refresh() {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const fresh = page.getElementById("diagnosis");
        if (fresh) Idiomorph.morph(region(), document.adoptNode(fresh));
      }
    } catch {
      // the stream tells again, or ends
    }
    busy = false;
    if (again) {
      again = false;
      setTimeout(refresh, 100);
    }
  }

  const source = new EventSource(region().dataset.events);
  for (const kind of ["step", "finding"]) source.addEventListener(kind, refresh);
  for (const kind of ["done", "failed"]) {
    source.addEventListener(kind, () => {
      source.close();
      refresh();
    });
  }
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) refresh();
  });
  addEventListener("pagehide", () => source.close());
})();
