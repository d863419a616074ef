// New mail appears by itself; without this script the page is complete all the same.
(() => {
  "use strict";
  const status = document.getElementById("live");
  const mail = () => document.getElementById("mail");
  if (!status || !mail() || !mail().hasAttribute("data-refresh")) return;

  let waiting = null;

  function tell(text, paused = false) {
    status.textContent = text;
    status.classList.toggle("paused", paused);
  }

  async function refresh() {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (page.querySelector(".filter") && !document.querySelector(".filter")) {
      location.reload(); // the first mail: the rest of the page changes too
      return;
    }
    const focused = document.activeElement && document.activeElement.closest("#mail a");
    const href = focused && focused.getAttribute("href");
    for (const id of ["mail", "count"]) {
      const fresh = page.getElementById(id);
      const old = document.getElementById(id);
      if (fresh && old) old.replaceWith(document.adoptNode(fresh));
    }
    if (href) for (const link of mail().querySelectorAll("a")) if (link.getAttribute("href") === href) link.focus();
  }

  async function follow() {
    let pause = 1000;
    while (!document.hidden) {
      waiting = new AbortController();
      try {
        const asked = new URLSearchParams(location.search);
        asked.set("after", mail().dataset.newest);
        const answer = await fetch("/inbox/live?" + asked, { signal: waiting.signal });
        if (!answer.ok) throw new Error(String(answer.status));
        tell(status.dataset.live);
        pause = 1000;
        if (answer.status === 200) {
          const came = await answer.json();
          await refresh();
          tell(status.dataset.arrived.replace("{subject}", came.subject));
        }
      } catch {
        if (document.hidden) return;
        tell(status.dataset.paused, true);
        await new Promise((resolve) => setTimeout(resolve, pause));
        pause = Math.min(pause * 2, 30000);
      }
    }
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) waiting?.abort();
    else follow();
  });
  tell(status.dataset.live);
  follow();
})();
