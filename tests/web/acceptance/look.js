// What can be seen of a page, measured in the page itself.
globalThis.look = (() => {
  const name = (one) => `<${one.tagName.toLowerCase()}${one.id ? ` id=${one.id}` : ""} class="${one.className}"> ${one.textContent.trim().replace(/\s+/g, " ").slice(0, 80)}`;
  const visible = (one) => one.checkVisibility({ visibilityProperty: true });
  // Visually hidden text for screen readers is a box of one pixel.
  const aside = (one) => Boolean(one.closest(".aside, .skip, option, script, style, svg"));

  function* texts() {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const [node, at] = [walker.currentNode, walker.currentNode.parentElement];
      if (node.data.trim() && !at.closest("script, style, code, pre, bdi, [translate=no]")) yield [node.data, at];
    }
    for (const one of document.querySelectorAll("[title], [aria-label], [placeholder], [alt]"))
      if (!one.closest("code, [translate=no]"))
        for (const key of ["title", "aria-label", "placeholder", "alt"]) if (one.getAttribute(key) && !/^[245]\d\d /.test(one.getAttribute(key))) yield [one.getAttribute(key), one];
  }

  // Sentences in the wrong language; subjects and header fields speak as they like.
  function foreign() {
    const ours = document.documentElement.lang;
    const wrong = ours === "ja" ? /(?:[A-Za-z][A-Za-z'’-]*[ ,:;]+){3,}[A-Za-z]+/ : /[\u3040-\u30ff\u4e00-\u9fff]/;
    return [...texts()].filter(([text, at]) => at.closest("[lang]").lang === ours && !at.closest(".subject[dir=auto], h1[dir=auto], td[dir=auto]") && wrong.test(text))
      .map(([text, at]) => `${text.trim().slice(0, 160)} in ${name(at).slice(0, 60)}`);
  }

  function keys(known) {
    const all = new Set(known);
    return [...texts()].flatMap(([text]) => text.match(/[a-z_]+\.[a-z_.0-9]+/g) || []).filter((word) => all.has(word));
  }

  function links() {
    return [...document.querySelectorAll("a[href], link[href], iframe[src], img[src], script[src]")].map((one) => new URL(one.href || one.src, location.href))
      .filter((url) => url.origin === location.origin).map((url) => url.pathname + url.search);
  }

  function fragments() {
    const here = [...document.querySelectorAll("a[href*='#']")].filter((one) => one.pathname === location.pathname && one.search === location.search);
    return here.filter((one) => one.hash.length > 1 && !document.getElementById(decodeURIComponent(one.hash.slice(1)))).map((one) => one.href);
  }

  function headings() {
    const found = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].filter(visible).map((one) => Number(one.tagName[1]));
    const faults = found.filter((one) => one === 1).length === 1 ? [] : [`${found.filter((one) => one === 1).length} h1`];
    found.reduce((before, one) => { if (one > before + 1) faults.push(`h${one} behind h${before}`); return one; }, 0);
    return faults;
  }

  const facts = (known) => ({
    lang: document.documentElement.lang, title: document.title, keys: keys(known), foreign: foreign(), links: links(), fragments: fragments(),
    headings: headings(), ids: [...document.querySelectorAll("[id]")].map((one) => one.id).filter((id, at, all) => all.indexOf(id) !== at),
    alternates: Object.fromEntries([...document.querySelectorAll("link[rel=alternate][hreflang]")].map((one) => [one.hreflang, one.getAttribute("href")])),
    live: [...document.querySelectorAll("[data-live]")].map((one) => one.id), statuses: document.querySelectorAll("[role=status]").length,
    protocol: [...document.querySelectorAll("code[lang=en]:not([translate=no])")].map(name),
  });

  function clipped(one) {
    const style = getComputedStyle(one);
    const [wide, high] = [one.scrollWidth - one.clientWidth > 1, one.scrollHeight - one.clientHeight > 1];
    const hides = (how) => how === "hidden" || how === "clip";
    if (style.textOverflow === "ellipsis" && hides(style.overflowX)) return wide && (!one.closest("[title]") || one.clientWidth < 5 * parseFloat(style.fontSize)); // cut, but told whole, and long enough to be known
    return (wide && hides(style.overflowX)) || (high && hides(style.overflowY));
  }

  function spilt(one) {
    const style = getComputedStyle(one);
    return style.display !== "inline" && one.clientWidth > 0 && style.overflowX === "visible" && one.scrollWidth - one.clientWidth > 1;
  }

  function layout() {
    const root = document.documentElement;
    const boxes = [...document.body.querySelectorAll("*")].filter((one) => visible(one) && !aside(one) && one.textContent.trim());
    const leaves = boxes.filter((one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
    const outside = leaves.filter((one) => {
      const box = one.getBoundingClientRect();
      return (box.right > root.clientWidth + 1 || box.left < -1) && !scrolls(one) && !shortened(one);
    });
    return {
      wide: root.scrollWidth > root.clientWidth ? [`${root.scrollWidth} > ${root.clientWidth}`] : [],
      clipped: boxes.filter(clipped).map(name), spilt: leaves.filter((one) => spilt(one) && !scrolls(one)).map(name), outside: outside.map(name),
    };
  }

  // Behind the dots of a text that is cut, and is told whole.
  function shortened(one) {
    for (let at = one; at; at = at.parentElement) if (getComputedStyle(at).textOverflow === "ellipsis") return Boolean(at.closest("[title]"));
    return false;
  }

  function scrolls(one) {
    for (let at = one; at; at = at.parentElement) if (/auto|scroll/.test(getComputedStyle(at).overflowX)) return true;
    return false;
  }

  return { facts, layout };
})();
