// The screen of an account works without this. With it, all messages of the timeline
// scroll in one table that never has more than 200 rows, a slider goes through the
// account's messages, and a field leads to the message that has set it without a new page.
"use strict";

(() => {
  const MOST = 200; // rows in the table, with what stands for those that are not in it
  const AROUND = 40; // rows that are ready above and below what is seen
  const PAGE = 100; // rows that are asked for at once
  const KEPT = 2000; // rows that are kept outside of the page
  const TALLEST = 8000000; // pixels: beyond it browsers lose count

  const parse = (html) => new DOMParser().parseFromString(html, "text/html");
  const one = (id) => document.getElementById(id);
  const ask = async (url, signal) => {
    const answer = await fetch(url, { headers: { Accept: "application/json" }, signal });
    if (!answer.ok) {
      const why = await answer.json().catch(() => ({}));
      throw new Error((why.title || "The console has not answered") + ": " + (why.detail || answer.status));
    }
    return answer.json();
  };

  // timeline makes one scrolling table of the pages of the timeline.
  const timeline = (box) => {
    const table = box.querySelector("table");
    const body = table.tBodies[0];
    const count = one("timeline-count");
    const base = "/api/accounts/" + box.dataset.account + "/timeline?rows=html";
    let of = Number(box.dataset.of);
    let filter = { type: box.dataset.type, outcome: box.dataset.outcome };
    let rows = new Map(); // by index among those that are selected
    let asked = new Set(); // pages that are on their way
    let version = 0; // of the filter
    let current = 0; // position of the message that the page is about
    let height = 0; // of a row
    let timer = 0;
    let atEnd = false; // the reader has asked for the end, and not for another place since

    const spacer = () => {
      const tr = document.createElement("tr");
      tr.className = "spacer";
      tr.setAttribute("aria-hidden", "true");
      tr.append(document.createElement("td"));
      tr.firstChild.colSpan = 6;
      return tr;
    };
    const above = spacer();
    const below = spacer();
    const waiting = new Map();
    const wait = (i) => {
      if (!waiting.has(i)) {
        const tr = document.createElement("tr");
        tr.className = "waiting";
        tr.append(document.createElement("td"));
        tr.firstChild.colSpan = 6;
        tr.firstChild.textContent = "…";
        waiting.set(i, tr);
      }
      return waiting.get(i);
    };

    const keep = (i, html) => {
      const tr = parse("<table><tbody>" + html + "</tbody></table>").querySelector("tr");
      if (!rows.has(i)) rows.set(i, document.adoptNode(tr));
      mark(rows.get(i));
    };
    const mark = (tr) => {
      const is = current > 0 && tr.id === "m" + current;
      tr.classList.toggle("at", is);
      if (is) tr.setAttribute("aria-current", "true");
      else tr.removeAttribute("aria-current");
    };

    // Where the table would be too tall, a pixel of scrolling is more than a pixel of rows.
    const seen = () => Math.max(1, Math.floor((box.clientHeight - table.tHead.offsetHeight) / height));
    const tall = () => Math.min(of * height, TALLEST);
    const firstSeen = () => {
      if (of * height <= TALLEST) return Math.floor(box.scrollTop / height);
      return Math.round((box.scrollTop / Math.max(1, tall() - seen() * height)) * Math.max(0, of - seen()));
    };

    const draw = () => {
      const first = Math.min(firstSeen(), Math.max(0, of - 1));
      const begin = Math.max(0, first - AROUND);
      const end = Math.min(of, first + seen() + AROUND, begin + MOST - 2);
      const top = of * height <= TALLEST ? begin * height : Math.max(0, box.scrollTop - (first - begin) * height);
      const wanted = [above];
      for (let i = begin; i < end; i++) wanted.push(rows.get(i) || wait(i));
      wanted.push(below);
      const stay = new Set(wanted);
      for (const e of [...body.children]) {
        if (stay.has(e)) continue;
        if (e.contains(document.activeElement)) box.focus({ preventScroll: true });
        e.remove();
      }
      let at = body.firstElementChild;
      for (const e of wanted) {
        if (at === e) at = at.nextElementSibling;
        else body.insertBefore(e, at);
      }
      above.firstChild.style.height = top + "px";
      below.firstChild.style.height = Math.max(0, tall() - top - (end - begin) * height) + "px";
      above.hidden = top === 0;
      if (atEnd) box.scrollTop = box.scrollHeight;
      for (const i of waiting.keys()) if (i < begin || i >= end) waiting.delete(i);
      clearTimeout(timer);
      timer = setTimeout(() => load(begin, end), 40);
    };

    // take keeps an answer's rows.
    const take = (answer) => {
      // What the page shows of an account is gone once it is erased.
      if (String(answer.erased) !== box.dataset.erased) return location.reload();
      of = answer.of;
      table.setAttribute("aria-rowcount", of + 1);
      for (const e of answer.entries) keep(e.index, e.html);
      if (count) count.textContent = answer.all + " messages" + (filter.type || filter.outcome ? ", " + of + " of them selected" : "") + ".";
      if (rows.size > KEPT) {
        const about = firstSeen();
        for (const i of [...rows.keys()].sort((a, b) => Math.abs(b - about) - Math.abs(a - about)).slice(0, rows.size - KEPT)) rows.delete(i);
      }
    };
    const url = (more) => base + "&limit=" + PAGE + "&type=" + encodeURIComponent(filter.type) + "&outcome=" + encodeURIComponent(filter.outcome) + "&" + more;

    const load = async (begin, end) => {
      for (let page = Math.floor(begin / PAGE); page * PAGE < end; page++) {
        let all = true;
        for (let i = Math.max(begin, page * PAGE); i < Math.min(end, (page + 1) * PAGE); i++) all = all && rows.has(i);
        if (all || asked.has(page)) continue;
        asked.add(page);
        const asks = version;
        try {
          const answer = await ask(url("first=" + page * PAGE));
          if (asks !== version) return;
          asked.delete(page);
          take(answer);
          draw();
        } catch (e) {
          if (count) count.textContent = e.message;
          setTimeout(() => {
            asked.delete(page);
            if (asks === version) draw();
          }, 2000);
          return;
        }
      }
    };

    const scrollTo = (i) => {
      atEnd = false;
      const lead = Math.max(0, i - 2);
      box.scrollTop = of * height <= TALLEST ? lead * height : (lead / Math.max(1, of - seen())) * (tall() - seen() * height);
      draw();
    };

    // jump shows the message of a position, or the first one after it.
    const jump = async (position, focus) => {
      current = position;
      for (const tr of rows.values()) mark(tr);
      let asks = version;
      let answer = await ask(url("message=" + position));
      if (asks !== version) return;
      let hit = answer.entries.find((e) => e.position >= position);
      if ((!hit || hit.position !== position) && (filter.type || filter.outcome)) {
        reset({ type: "", outcome: "" });
        answer = await ask(url("message=" + position));
        hit = answer.entries.find((e) => e.position >= position);
      }
      take(answer);
      draw();
      if (!hit) hit = answer.entries[answer.entries.length - 1];
      if (!hit) return;
      scrollTo(hit.index);
      const tr = rows.get(hit.index);
      if (tr) detail(tr);
      if (focus && tr) {
        tr.querySelector("a").focus({ preventScroll: true });
        one("message").scrollIntoView({ block: "nearest" });
      }
    };

    const reset = (to) => {
      filter = to;
      version++;
      rows = new Map();
      asked = new Set();
      waiting.clear();
      for (const name of ["type", "outcome"]) if (one("filter-" + name)) one("filter-" + name).value = filter[name];
    };
    const select = async (to) => {
      reset(to);
      box.scrollTop = 0;
      const asks = version;
      const answer = await ask(url("first=0"));
      if (asks !== version) return;
      take(answer);
      draw();
    };

    // detail shows all that a message has changed: a row of the table is one line high.
    const detail = (tr) => {
      const into = one("message");
      const cells = [...tr.cells];
      const list = cells[5].cloneNode(true);
      into.replaceChildren();
      const head = document.createElement("h3");
      head.textContent = "Message " + tr.id.slice(1) + ", " + cells[3].textContent + ", " + cells[4].textContent;
      into.append(head, ...list.childNodes);
      if (into.children.length === 1) into.append("It has changed nothing.");
      into.hidden = false;
    };

    for (const tr of [...body.rows]) rows.set(Number(tr.getAttribute("aria-rowindex")) - 2, tr);
    box.classList.add("windowed");
    const panel = document.createElement("section");
    panel.id = "message";
    panel.className = "card";
    panel.hidden = true;
    panel.setAttribute("role", "status");
    box.after(panel);
    const pages = one("timeline-pages");
    if (pages) pages.hidden = true;
    const measure = () => {
      const tr = body.querySelector("tr[id]");
      height = (tr && tr.getBoundingClientRect().height) || height || 36;
    };
    measure();
    const marked = body.querySelector("tr.at");
    if (marked) current = Number(marked.id.slice(1));
    scrollTo(marked ? Number(marked.getAttribute("aria-rowindex")) - 2 : Number(box.dataset.first) ? Number(box.dataset.first) + 2 : 0);
    if (marked) detail(marked);
    let frame = 0;
    const soon = () => {
      if (!frame)
        frame = requestAnimationFrame(() => {
          frame = 0;
          draw();
        });
    };
    box.addEventListener("scroll", soon, { passive: true });
    // A browser scrolls by these keys little by little, and where it is busy does not come
    // there while rows are drawn. So they go there at once.
    box.addEventListener("keydown", (e) => {
      const plain = e.target === box && !(e.ctrlKey || e.metaKey || e.altKey || e.shiftKey);
      const page = Math.max(1, seen() - 1) * height;
      const to = { Home: 0, End: box.scrollHeight, PageUp: box.scrollTop - page, PageDown: box.scrollTop + page }[e.key];
      atEnd = plain && e.key === "End";
      if (!plain || to === undefined) return;
      e.preventDefault();
      box.scrollTop = to;
      draw();
    });
    for (const kind of ["wheel", "pointerdown", "touchstart"]) box.addEventListener(kind, () => (atEnd = false), { passive: true });
    window.addEventListener("resize", () => {
      const first = firstSeen();
      measure();
      scrollTo(first + 2);
    });
    const form = one("filter");
    const fail = (e) => {
      if (count) count.textContent = e.message;
    };
    form.addEventListener("submit", (e) => {
      e.preventDefault();
      const position = Number(one("filter-message").value);
      const to = { type: one("filter-type").value, outcome: one("filter-outcome").value };
      const changed = to.type !== filter.type || to.outcome !== filter.outcome;
      (changed ? select(to) : Promise.resolve()).then(() => position && jump(position, true)).catch(fail);
    });
    for (const name of ["type", "outcome"])
      one("filter-" + name).addEventListener("change", () => select({ type: one("filter-type").value, outcome: one("filter-outcome").value }).catch(fail));
    return {
      jump: (position, focus) => jump(position, focus).catch(fail),
      box,
      detail: (tr) => {
        current = Number(tr.id.slice(1));
        for (const each of rows.values()) mark(each);
        detail(tr);
      },
    };
  };

  // moments shows the document as it was, message by message.
  const moments = (form, rows) => {
    const slider = one("slider");
    const at = one("at");
    let of = Number(form.dataset.of);
    let index = Number(form.dataset.index);
    if (index < 0) index = of - 1;
    let ahead = null;
    let timer = 0;
    const say = (text) => {
      const p = document.createElement("p");
      p.className = "bad";
      p.setAttribute("role", "alert");
      p.textContent = text;
      one("document-body").prepend(p);
    };
    const place = () => {
      slider.max = Math.max(0, of - 1);
      slider.value = index;
    };
    const words = (m) => slider.setAttribute("aria-valuetext", m.cut ? "position " + m.at : "message " + (m.index + 1) + " of " + m.of + ", position " + m.position);
    const show = async (what) => {
      if (ahead) ahead.abort();
      const mine = (ahead = new AbortController());
      try {
        const v = await ask("/api/accounts/" + form.dataset.account + "/document?parts=html&" + what, mine.signal);
        const m = v.moment;
        if (m.state === "erased") return location.reload();
        const focused = document.activeElement && one("document-body").contains(document.activeElement);
        one("document-body").replaceChildren(...document.adoptNode(parse(v.html).body).childNodes);
        if (focused) slider.focus();
        of = m.of;
        index = Math.max(0, m.index);
        place();
        words(m);
        at.value = m.at;
        one("earlier").hidden = !m.previous;
        one("later").hidden = !m.next;
        one("now").hidden = false;
        one("earlier").href = "/accounts/" + form.dataset.account + "?at=" + m.previous + "#document";
        one("later").href = "/accounts/" + form.dataset.account + "?at=" + m.next + "#document";
        history.replaceState(null, "", "/accounts/" + form.dataset.account + "?at=" + m.at);
        if (rows && m.position) rows.jump(m.position, false);
      } catch (e) {
        if (e.name !== "AbortError") say(e.message);
      }
    };
    one("sliding").hidden = false;
    place();
    slider.setAttribute("aria-valuetext", "message " + (index + 1) + " of " + of);
    slider.addEventListener("input", () => {
      index = Number(slider.value);
      slider.setAttribute("aria-valuetext", "message " + (index + 1) + " of " + of);
      clearTimeout(timer);
      timer = setTimeout(() => show("index=" + index), 120);
    });
    form.addEventListener("submit", (e) => {
      e.preventDefault();
      show("at=" + encodeURIComponent(at.value));
    });
    for (const id of ["earlier", "later"])
      one(id).addEventListener("click", (e) => {
        e.preventDefault();
        show("at=" + new URL(one(id).href).searchParams.get("at"));
      });
    return { show };
  };

  document.addEventListener("DOMContentLoaded", () => {
    const box = one("timeline");
    const rows = box ? timeline(box) : null;
    const form = one("moment");
    const past = form ? moments(form, rows) : null;
    document.addEventListener("click", (e) => {
      if (e.defaultPrevented || e.button || e.ctrlKey || e.metaKey || e.shiftKey) return;
      const origin = e.target.closest("a.origin");
      if (origin && rows) {
        e.preventDefault();
        one("timeline-title").scrollIntoView();
        rows.jump(Number(origin.dataset.message), true);
        return;
      }
      const tr = e.target.closest("#timeline tbody tr[id]");
      if (!tr || !rows) return;
      const link = e.target.closest("th a");
      if (link && past) {
        e.preventDefault();
        past.show("at=" + tr.id.slice(1));
      } else if (!e.target.closest("a")) rows.detail(tr);
    });
  });
})();
