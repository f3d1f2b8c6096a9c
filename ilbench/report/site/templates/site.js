// Sorting, filtering, hiding of columns and copying; what was chosen stands in the address, so that a link shows the same.
"use strict";
(() => {
  const copy = async (text) => {
    try { await navigator.clipboard.writeText(text); return true; } catch {
      const area = document.createElement("textarea");
      area.value = text; area.className = "skip"; document.body.append(area); area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  };
  const plain = /^[-+]?[\d.,]+(e[-+]?\d+)?[*!#]*( \[[-+\d.,e]+, ([-+\d.,e]+|more)\])?[*!#]*$/i;  // a number, an interval after it, marks
  const inert = (text) => (/^[=+\-@]/.test(text) && text !== "-" && !plain.test(text) ? "'" : "") + text;
  const tsv = (table) => [...table.rows].map((row) => [...row.cells]
    .map((cell) => inert(cell.textContent.trim().replace(/\s+/g, " "))).join("\t")).join("\n") + "\n";
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const said = button.textContent, done = await copy(button.dataset.copy === "link" ? location.href : tsv(button.closest("section").querySelector("table")));
    button.textContent = done ? "Copied" : "Not copied: the browser forbids it";
    setTimeout(() => { button.textContent = said; }, 1500);
  });
  const tables = [...document.querySelectorAll("section.table table")];
  const tools = document.querySelector("[data-tools]");
  if (!tables.length || !tools) return;
  const state = { q: "", hide: new Set(), sort: {} };
  const name = (th) => th.dataset.name;
  const value = (text) => {
    const found = /^[-+]?[\d,]*\.?\d+(e[-+]?\d+)?/i.exec(text.trim());
    return found ? parseFloat(found[0].replaceAll(",", "")) : NaN;
  };
  const read = () => {
    const given = new URLSearchParams(location.hash.startsWith("#?") ? location.hash.slice(2) : "");
    state.q = given.get("q") || "";
    state.hide = new Set((given.get("hide") || "").split("|").filter(Boolean));
    state.sort = {};
    for (const [key, way] of given) if (key.startsWith("sort.")) state.sort[key.slice(5)] = way;
  };
  const write = () => {
    const out = new URLSearchParams(location.hash.startsWith("#?") ? location.hash.slice(2) : "");
    for (const key of [...out.keys()]) if (key === "q" || key === "hide" || key.startsWith("sort.")) out.delete(key);
    if (state.q) out.set("q", state.q);
    if (state.hide.size) out.set("hide", [...state.hide].join("|"));
    for (const [key, way] of Object.entries(state.sort)) out.set("sort." + key, way);
    const said = out.toString();
    history.replaceState(null, "", said ? "#?" + said : location.pathname + location.search);
  };
  const sort = (table, column, way) => {
    const body = table.tBodies[0];
    const text = (row) => row.cells[column] ? row.cells[column].textContent : "";
    const sign = way === "d" ? -1 : 1;
    const rows = [...body.rows].map((row) => [row, value(text(row)), text(row)]);
    const numeric = rows.filter(([, v]) => !Number.isNaN(v)).length * 2 >= rows.length;
    rows.sort(([, a, s], [, b, t]) => {
      if (!numeric) return sign * s.localeCompare(t);
      if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
      return sign * (a - b);
    });
    body.append(...rows.map(([row]) => row));
    [...table.tHead.rows[0].cells].forEach((th, i) =>
      th.setAttribute("aria-sort", i !== column ? "none" : way === "d" ? "descending" : "ascending"));
  };
  const show = () => {
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0, all = 0;
    for (const table of tables) {
      const title = table.caption ? table.caption.textContent.toLowerCase() : "";
      let here = 0;
      for (const row of table.tBodies[0].rows) {
        const text = title + " " + row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        here += row.hidden ? 0 : 1; all += 1;
      }
      shown += here;
      table.closest("section.table").hidden = here === 0 && words.length > 0;
      [...table.tHead.rows[0].cells].forEach((th, i) => {
        const off = state.hide.has(name(th));
        for (const row of table.rows) if (row.cells[i]) row.cells[i].hidden = off;
      });
    }
    for (const group of document.querySelectorAll("section.group"))
      group.hidden = words.length > 0 && !group.querySelector("section.table:not([hidden])");
    tools.querySelector("[data-count]").textContent = words.length ? shown + " of " + all + " rows" : "";
  };
  tables.forEach((table, t) => {
    const button = document.createElement("button");
    button.type = "button"; button.dataset.copy = "table"; button.textContent = "Copy table";
    table.closest("section.table").querySelector("[data-files]").append(" ", button);
    const id = table.closest("section.table").id || String(t);
    [...table.tHead.rows[0].cells].forEach((th, i) => {
      const button = document.createElement("button");
      th.dataset.name = button.textContent = th.textContent;
      button.type = "button";
      button.addEventListener("click", () => {
        const way = th.getAttribute("aria-sort") === "descending" ? "a" : "d";
        state.sort[id] = i + way;
        sort(table, i, way); write();
      });
      th.replaceChildren(button);
      th.setAttribute("aria-sort", "none");
    });
  });
  const names = [...new Set(tables.flatMap((table) => [...table.tHead.rows[0].cells].map(name)))];
  const place = tools.querySelector("[data-columns]");
  const boxes = names.map((one) => {
    const label = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox"; box.value = one;
    box.addEventListener("change", () => { box.checked ? state.hide.delete(one) : state.hide.add(one); show(); write(); });
    label.append(box, " " + one); place.append(label);
    return box;
  });
  const input = tools.querySelector("[data-filter]");
  input.addEventListener("input", () => { state.q = input.value; show(); write(); });
  const restore = () => {
    read();
    input.value = state.q;
    for (const box of boxes) box.checked = !state.hide.has(box.value);
    tables.forEach((table, t) => {
      const asked = /^(\d+)([ad])$/.exec(state.sort[table.closest("section.table").id || String(t)] || "");
      if (asked && asked[1] < table.tHead.rows[0].cells.length) sort(table, Number(asked[1]), asked[2]);
    });
    show();
  };
  addEventListener("hashchange", () => { if (location.hash.startsWith("#?") || location.hash === "") restore(); });
  restore();
  tools.hidden = false;
})();
