// The console's pages work without this. With it, the part of a page that follows what
// happens is replaced as it changes, and times are told in the reader's own zone.
"use strict";

(() => {
  // say tells how the page follows. What is old is told where it is seen, and read aloud.
  const say = (text, old) => {
    const at = document.getElementById("following");
    if (!at) return;
    at.setAttribute("aria-live", old ? "polite" : "off");
    at.parentElement.classList.toggle("old", Boolean(old));
    if (at.textContent !== text) at.textContent = text;
  };

  // zones adds the reader's own time to each point in time below an element.
  const zones = (below) => {
    for (const t of below.querySelectorAll("time[datetime]")) {
      const at = new Date(t.dateTime);
      if (!isNaN(at)) t.title = at.toLocaleString();
    }
  };

  // replace puts the blocks of a fragment that have changed in the place of the old ones.
  // A block is a child with an id. The focus stays where it was: on the element of the same
  // id or name within the block.
  const replace = (into, html) => {
    const made = new DOMParser().parseFromString(html, "text/html").body;
    const before = new Map([...into.children].filter((e) => e.id).map((e) => [e.id, e]));
    const blocks = [...made.children].map((e) => {
      const old = e.id && before.get(e.id);
      if (!old) return document.adoptNode(e);
      const is = e.outerHTML;
      if (written.get(old) === is) return old;
      const now = document.adoptNode(e);
      written.set(now, is);
      // What a reader has opened, written or scrolled to stays so.
      for (const d of old.querySelectorAll("details[open][id]")) {
        const same = now.querySelector("#" + CSS.escape(d.id));
        if (same) same.open = true;
      }
      for (const f of old.querySelectorAll("input[id], textarea[id], select[id]")) {
        const same = now.querySelector("#" + CSS.escape(f.id));
        if (!same || f.type === "hidden") continue;
        if (f.type === "checkbox" || f.type === "radio") same.checked = f.checked;
        else if (f.value !== f.defaultValue) same.value = f.value;
      }
      const scrolled = [...old.querySelectorAll(".scroll")].map((s) => [s.scrollLeft, s.scrollTop]);
      if (scrolled.some(([x, y]) => x || y)) places.set(now, scrolled);
      const active = old.contains(document.activeElement) ? document.activeElement : null;
      if (active) now.dataset.focus = active.id;
      return now;
    });
    const kept = new Set(blocks);
    for (const e of [...into.childNodes]) if (!kept.has(e)) e.remove();
    blocks.forEach((e, i) => {
      if (into.children[i] !== e) into.insertBefore(e, into.children[i] || null);
      const scrolled = places.get(e);
      if (scrolled) {
        [...e.querySelectorAll(".scroll")].forEach((s, i) => scrolled[i] && s.scrollTo(...scrolled[i]));
        places.delete(e);
      }
      if (e.dataset.focus !== undefined) {
        const to = e.dataset.focus && document.getElementById(e.dataset.focus);
        delete e.dataset.focus;
        if (to) to.focus({ preventScroll: true });
      }
    });
    zones(into);
  };
  const written = new WeakMap(); // blocks, as they were sent
  const places = new WeakMap(); // where what scrolls within new blocks has to be

  // follow replaces the page's fragment as it changes. A page that nobody sees follows
  // nothing: a browser has only six connections to a host.
  const follow = () => {
    const topic = document.body.dataset.live;
    const into = document.querySelector("[data-fragment]");
    if (!topic || !into) return;
    for (const e of into.children) if (e.id) written.set(e, e.outerHTML);
    let source = null;
    let last = Date.now(); // when the console was heard of
    let opened = last;
    let lost = false;
    let gone = false; // the console does not know any more what the page is about
    const close = () => {
      if (source) source.close();
      source = null;
    };
    const open = () => {
      if (source || gone || document.hidden) return;
      opened = Date.now();
      const mine = (source = new EventSource("/events?topic=" + encodeURIComponent(topic)));
      source.onmessage = (e) => {
        last = Date.now();
        lost = false;
        const html = JSON.parse(e.data);
        if (html) replace(into, html);
        say(into.dataset.follows || "Live: this page follows what happens.");
      };
      source.onerror = () => {
        lost = true;
        tell();
        if (mine === source && mine.readyState === EventSource.CLOSED) again(); // it was answered, by an error
      };
    };
    document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
    window.addEventListener("pagehide", close);
    window.addEventListener("pageshow", open);
    // again asks whether the page is there still, and if so, follows it anew.
    const again = async () => {
      close();
      const page = await fetch(location.pathname, { method: "HEAD" }).catch(() => null);
      gone = page !== null && page.status === 404;
      if (gone) say("The console does not know this any more, since it was started anew. What became of it is in the audit.", true);
      else setTimeout(open, 3000);
    };
    // tell says what is old: each ten seconds, as it may be read aloud.
    const tell = () => {
      if (gone || document.hidden) return;
      const seconds = Math.floor((Date.now() - last) / 10000) * 10;
      if (lost) say("The connection to the console is lost; trying again." + (seconds ? " What is shown is " + seconds + " s old." : ""), true);
      else if (source && seconds && Date.now() - opened > 10000) say("Nothing new for " + seconds + " s: what is shown is as old.", true);
    };
    setInterval(tell, 1000);
    open();
  };

  document.addEventListener("DOMContentLoaded", () => {
    const fragment = document.querySelector("[data-fragment]");
    for (const e of fragment ? fragment.children : []) written.set(e, e.outerHTML);
    follow(); // first, as it compares blocks with what was sent
    zones(document);
  });
})();
