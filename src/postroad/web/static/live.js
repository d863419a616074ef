// Keeps [data-live] regions of a page as they are on the server; without this script the page is complete all the same.
//
// A region has an id and the topics on which it changes (data-live="accepted queue"). Rows in it should have ids, too.
// What somebody ticked, typed, opened or stands on stays; [data-keep] elements are left alone. `data-news` of a region is
// read out when it changes. `postroad:updated` is dispatched on document after each change.
(() => {
  "use strict";
  const box = document.getElementById("live");
  const regions = (page = document) => [...page.querySelectorAll("[data-live]")];
  const wanted = (region) => region.dataset.live.split(" ").filter(Boolean);
  if (!box || !window.EventSource || !window.Idiomorph || !regions().length) return;

  const [state, news, pause] = ["state", "news", "pause"].map((name) => document.getElementById(`live-${name}`));
  const words = box.dataset;
  let source = null; // the stream
  let last = words.seen; // the id of the last event that is on the page
  let due = new Set(); // topics of which something happened
  let fetched = 0; // when the page was last fetched
  let wait = 1000; // before the next try
  let busy = false, lost = false, over = "", told = 0, again = 0, next = 0;
  let paused = remembered();

  function remembered(value) {
    try {
      if (value !== undefined) sessionStorage.setItem("live-paused", value ? "1" : "");
      return sessionStorage.getItem("live-paused") === "1";
    } catch {
      return false; // no storage: not across pages
    }
  }

  function show() {
    const trouble = over || (lost && !paused ? words.lost : "");
    state.textContent = trouble ? "" : paused ? words.paused : words.on;
    if (trouble !== news.textContent && (trouble || news.dataset.trouble)) news.textContent = trouble;
    news.dataset.trouble = trouble ? "1" : "";
    box.classList.toggle("paused", Boolean(trouble) || paused);
    pause.setAttribute("aria-pressed", String(paused));
    pause.hidden = Boolean(over);
    box.hidden = false;
  }

  // Read out what a region says of itself at once, but "updated" not all the time.
  function tell(texts) {
    if (!texts.length && Date.now() - told < 10000) return;
    told = Date.now();
    news.textContent = "";
    setTimeout(() => news.dataset.trouble || (news.textContent = texts.join(" ") || words.updated), 50);
  }

  function close() {
    clearTimeout(again);
    clearTimeout(next);
    next = 0;
    source?.close();
    source = null;
  }

  function end(why) {
    over = why;
    close();
    show();
  }

  function connect() {
    clearTimeout(again);
    if (source || paused || over || document.hidden) return;
    const topics = [...new Set(regions().flatMap(wanted))];
    source = new EventSource(`/api/v1/events?${new URLSearchParams({ topics, last })}`);
    source.onopen = () => {
      wait = 1000;
      if (lost) look("*");
      lost = false;
      show();
    };
    source.onerror = () => {
      lost = true;
      show();
      if (source?.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
      source = null;
      look("*"); // tells why, when nobody is let in any more
      again = setTimeout(connect, wait);
      wait = Math.min(wait * 2, 30000);
    };
    for (const topic of topics) source.addEventListener(topic, heard);
    source.addEventListener("resync", heard);
  }

  function heard(event) {
    last = event.lastEventId;
    look(event.type === "resync" ? "*" : event.type);
  }

  // Fetch the page soon: what comes meanwhile is seen with it.
  function look(topic) {
    due.add(topic);
    if (!next && !busy) next = setTimeout(refetch, Math.max(300, fetched + 1000 - Date.now()));
  }

  async function refetch() {
    next = 0;
    if (paused || over || document.hidden) return;
    busy = true;
    fetched = Date.now();
    const topics = due;
    due = new Set();
    try {
      const asked = { headers: { Accept: "text/html" }, redirect: "manual", cache: "no-store", signal: AbortSignal.timeout(20000) };
      const answer = await fetch(location.href, asked);
      if (answer.type === "opaqueredirect" || answer.status === 401 || answer.status === 403) return end(words.ended);
      if (answer.status === 404 || answer.status === 410) return end(words.gone);
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!paused) renew(page, topics);
    } catch {
      topics.forEach((topic) => due.add(topic));
      fetched = Date.now() + 4000; // not at once again
    } finally {
      busy = false;
      if (due.size) look([...due][0]);
    }
  }

  function renew(page, topics) {
    const texts = [];
    let changed = false;
    const [stays, top] = anchor();
    const ids = (of) => regions(of).map((one) => one.id).join(" ");
    const concerned = regions().filter((one) => topics.has("*") || wanted(one).some((topic) => topics.has(topic)));
    // Where regions came or went, all of the page did.
    for (const { id } of ids() === ids(page) ? concerned : [document.getElementById("content")]) {
      const [old, fresh] = [document.getElementById(id), page.getElementById(id)];
      if (!old || !fresh) continue; // it stood in one that was changed before
      const text = fresh.dataset.news;
      if (text && text !== old.dataset.news) texts.push(text);
      name(old);
      name(fresh);
      if (old.isEqualNode(fresh)) continue;
      changed ||= old.textContent !== fresh.textContent;
      morph(old, fresh);
    }
    if (stays?.isConnected) scrollBy(0, stays.getBoundingClientRect().top - top);
    document.title = page.title;
    if (changed) tell(texts);
    document.dispatchEvent(new CustomEvent("postroad:updated"));
  }

  function morph(old, fresh) {
    const stood = document.activeElement;
    const mark = old.contains(stood) && !stood.id && like(stood, fresh);
    if (mark) stood.id = mark.id = "live-focus";
    Idiomorph.morph(old, fresh, { ignoreActiveValue: true, callbacks: { beforeNodeMorphed, beforeAttributeUpdated } });
    const stands = mark && document.getElementById("live-focus");
    if (stands && document.activeElement !== stands) stands.focus({ preventScroll: true });
    stands && stands.removeAttribute("id");
  }

  // What stands at the top of the window stays there, and where it was.
  function anchor() {
    if (!scrollY) return [];
    for (const one of regions().flatMap((region) => [...region.querySelectorAll("[id]")])) {
      const { top, height } = one.getBoundingClientRect();
      if (top >= 0 && height) return [one, top];
    }
    return [];
  }

  // What can be ticked or opened gets an id, so that it is found again wherever it goes.
  function name(region) {
    for (const one of region.querySelectorAll("input:not([id]):is([type=checkbox], [type=radio])"))
      one.id = `live:${one.form?.id ?? ""}:${one.name}=${one.value}`;
  }

  function like(stood, fresh) {
    const said = (one) => [one.getAttribute("href"), one.name, one.value, one.textContent].join("\n");
    return [...fresh.querySelectorAll(stood.localName)].find((one) => !one.id && said(one) === said(stood));
  }

  const beforeNodeMorphed = (old) => !(old.dataset && "keep" in old.dataset) && old !== box;

  // What somebody did to it since it came is theirs.
  function beforeAttributeUpdated(attribute, node) {
    if (attribute === "open") return node.localName !== "details" && node.localName !== "dialog";
    if (attribute === "checked") return node.checked === node.defaultChecked;
    if (attribute === "selected") return node.selected === node.defaultSelected;
    if (attribute === "value" && "defaultValue" in node && node.type !== "hidden") return node.value === node.defaultValue;
    return true;
  }

  function resume() {
    show();
    if (paused || over || document.hidden) return close();
    look("*");
    connect();
  }

  pause.addEventListener("click", () => {
    paused = !paused;
    remembered(paused);
    resume();
  });
  document.addEventListener("visibilitychange", resume);
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => event.persisted && resume());
  show();
  connect();
})();
