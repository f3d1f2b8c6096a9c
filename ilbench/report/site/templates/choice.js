// The board of one's own choice: which tasks, how many labels, which rows, by what. It is computed anew from each seed's values, and what
// was chosen stands in the address. Names are only ever set as text.
"use strict";
(() => {
  const root = document.querySelector("[data-choice]");
  if (!root) return;
  const data = JSON.parse(root.dataset.choice);
  const part = (name) => root.querySelector("[data-" + name + "]");
  const make = (tag, text, more) => Object.assign(document.createElement(tag), { textContent: text }, more);
  const state = { by: "", labels: "", tasks: new Set(), rows: new Set() };
  const everything = { by: data.yards[0].id, labels: "all", tasks: data.tasks.map((_, i) => i), rows: data.rows.map((_, i) => i) };
  const mean = (x) => x.reduce((a, b) => a + b, 0) / x.length;

  // ------------------------------------------------------------------------------------------ the address
  const kept = (names, chosen, all) => {
    const found = chosen.map((name) => names.indexOf(name)).filter((i) => i >= 0);
    return new Set(found.length ? found : all);
  };
  const read = () => {
    const given = new URLSearchParams(location.hash.startsWith("#?") ? location.hash.slice(2) : "");
    const of = (key, allowed) => (allowed.includes(given.get(key)) ? given.get(key) : everything[key]);
    state.by = of("by", data.yards.map((y) => y.id));
    state.labels = of("labels", ["all", "fewest", "most"]);
    state.tasks = kept(data.tasks, given.getAll("task"), everything.tasks);
    state.rows = kept(data.rows.map((r) => r.name), given.getAll("row"), everything.rows);
  };
  const write = () => {
    const out = new URLSearchParams(location.hash.startsWith("#?") ? location.hash.slice(2) : "");
    for (const key of ["by", "labels", "task", "row"]) out.delete(key);
    for (const key of ["by", "labels"]) if (state[key] !== everything[key]) out.set(key, state[key]);
    if (state.tasks.size < data.tasks.length) for (const i of [...state.tasks].sort((a, b) => a - b)) out.append("task", data.tasks[i]);
    if (state.rows.size < data.rows.length) for (const i of [...state.rows].sort((a, b) => a - b)) out.append("row", data.rows[i].name);
    const said = out.toString();
    history.replaceState(null, "", said ? "#?" + said : location.pathname + location.search);
  };

  // ------------------------------------------------------------------------------------------ numbers
  const spread = (x) => Math.sqrt(x.reduce((sum, v) => sum + (v - mean(x)) ** 2, 0) / (x.length - 1) / x.length);
  const crowded = (x) => {
    const most = Math.max(...[Math.min(...x), Math.max(...x)].map((end) => x.filter((v) => v === end).length));
    return most >= 2 && most * 4 > x.length;
  };
  const limits = (x, rivals) => {  // Student's t, Bonferroni over the rivals; null where ties or few seeds forbid it
    if (x.length < data.few || crowded(x)) return null;
    const half = data.t[x.length - 2][rivals - 1] * spread(x);
    return [mean(x) - half, mean(x) + half];
  };
  const chosen = (yard) => {  // row -> setting -> cell, and all settings
    const rows = new Map(), every = new Set();
    for (const cell of data.cells[yard.id]) {
      const [row, place] = cell, where = data.places[place];
      if (!state.rows.has(row) || !state.tasks.has(where.task) || (state.labels !== "all" && !where[state.labels])) continue;
      every.add(place);
      if (!rows.has(row)) rows.set(row, new Map());
      rows.get(row).set(place, cell);
    }
    return [rows, every];
  };
  const shared = (rows, every) => {  // those that ran on all, or on what those that ran on most have in common
    const whole = [...rows.keys()].filter((r) => rows.get(r).size === every.size);
    if (whole.length >= data.least) return [whole, every];
    const order = [...rows.keys()].sort((a, b) => rows.get(b).size - rows.get(a).size || a - b);
    const taken = [];
    let common = null;
    for (const r of order) {
      const left = new Set([...rows.get(r).keys()].filter((p) => common === null || common.has(p)));
      if (left.size >= data.least) { taken.push(r); common = left; }
    }
    return taken.length > whole.length ? [taken, common] : [whole, every];
  };
  const averaged = (rows, places) => {  // lines of values per seed, over the seeds that all of these share
    const lists = rows.flatMap(([, cells]) => places(cells).map((p) => data.seeds[cells.get(p)[2]]));
    const seeds = lists.length ? lists[0].filter((s) => lists.every((list) => list.includes(s))) : [];
    return rows.map(([row, cells]) => {
      const at = places(cells);
      const x = seeds.map((s) => mean(at.map((p) => cells.get(p)[3][data.seeds[cells.get(p)[2]].indexOf(s)])));
      return { row, x, ran: at.length, seeds: seeds.length, value: x.length ? mean(x) : null, limits: limits(x, 1), reached: 0 };
    });
  };
  const single = ([row, cells], places) => {  // a geometric mean over the settings that have a value
    const there = places(cells).map((p) => cells.get(p)), known = there.filter((c) => c[2] > 0);
    const geometric = (i) => known.some((c) => c[i] === null) || !known.length ? null
      : known.some((c) => c[i] < 0) ? Infinity : Math.exp(mean(known.map((c) => Math.log(c[i]))));
    const ends = [geometric(3), geometric(4)];
    return { row, x: [], ran: there.length, seeds: Math.min(...there.map((c) => c[5])), value: geometric(2),
             limits: ends[0] === null || ends[1] === null ? null : ends, reached: known.length };
  };
  const ranked = (lines, yard) => {  // places that the data cannot rule out; how many pairs could not be tested
    const rivals = Math.max(1, lines.length - 1), sign = yard.less ? -1 : 1;
    const difference = (a, b) => a.x.map((v, i) => sign * (v - b.x[i]));
    let untested = 0;
    const ahead = lines.map((a, i) => lines.map((b, j) => {
      const found = i === j ? null : limits(difference(a, b), rivals);
      untested += i < j && found === null;
      return found !== null && found[0] > 0;
    }));
    lines.forEach((line, i) => {
      const lo = 1 + lines.filter((_, j) => ahead[j][i]).length, hi = lines.length - lines.filter((_, j) => ahead[i][j]).length;
      line.rank = lo === hi ? String(lo) : lo + "-" + hi;
      const behind = i ? difference(lines[0], line) : [];
      line.behind = i ? [mean(behind), limits(behind, rivals)] : null;
    });
    return untested;
  };
  const board = () => {
    const yard = data.yards.find((y) => y.id === state.by), seeded = yard.kind === "seeds";
    const [rows, every] = chosen(yard);
    const [top, common] = shared(rows, every);
    const whole = (cells) => [...cells.keys()].filter((p) => common.has(p)), own = (cells) => [...cells.keys()];
    const entries = top.map((r) => [r, rows.get(r)]);
    const lines = seeded ? averaged(entries, whole) : entries.map((e) => single(e, whole));
    const order = (line) => (line.value === null ? Infinity : yard.less ? line.value : -line.value);
    lines.sort((a, b) => b.reached - a.reached || order(a) - order(b) || a.row - b.row);
    const tested = seeded && lines.length > 1 && lines[0].seeds >= data.few;
    const untested = tested ? ranked(lines, yard) : 0;
    if (!tested) lines.forEach((line, i) => { line.rank = String(i + 1); line.behind = null; });
    const rest = [...rows.keys()].filter((r) => !top.includes(r)).sort((a, b) => rows.get(b).size - rows.get(a).size || a - b)
      .map((r) => (seeded ? averaged([[r, rows.get(r)]], own)[0] : single([r, rows.get(r)], own)));
    return { yard, lines, rest, of: every.size, common: common.size, tested, untested };
  };

  // ------------------------------------------------------------------------------------------ what is seen
  const number = (v) => v === Infinity ? "more" : v === 0 ? "0" : Math.abs(v) >= 999.5 ? v.toFixed(0) : String(v.toPrecision(3));
  const spelled = (yard, value, ends) => {
    const said = ["score", "noise", "survived"].includes(yard.id) ? (v) => v.toFixed(3).replace(/^-(0\.0+)$/, "$1") : number;
    return value === null ? (yard.kind === "reach" ? "never reached" : "-") : said(value) + (ends ? " [" + ends.map(said).join(", ") + "]" : "");
  };
  const named = (tag, line) => {
    const { name, href } = data.rows[line.row], th = make(tag, href ? "" : name, { scope: "row" });
    if (href) th.append(make("a", "", { href }));
    if (href) name.split(/(?=\[)|(?<=[+=_])/).forEach((part, i) => th.firstChild.append(...(i ? [document.createElement("wbr")] : []), part));
    return th;
  };
  const show = () => {
    const found = board(), { yard } = found;
    const columns = ["rank", "algorithm", yard.column, ...(found.tested ? ["behind the first [95 %]"] : []),
                     ...(yard.kind === "reach" ? ["reached on"] : []), "settings", "seeds"];
    const cells = (line) => [line.rank ?? "", null, spelled(yard, line.value, line.limits),
      ...(found.tested ? [line.behind ? spelled(yard, ...line.behind) + (line.behind[1] ? "" : " (not tested)") : ""] : []),
      ...(yard.kind === "reach" ? [line.reached + "/" + line.ran] : []), line.ran + "/" + found.of, String(line.seeds)];
    const row = (line) => {
      const tr = document.createElement("tr");
      tr.append(...cells(line).map((text) => (text === null ? named("th", line) : make("td", text, { className: "num" }))));
      return tr;
    };
    const body = found.lines.map(row);
    if (found.rest.length) {
      const tr = document.createElement("tr");
      tr.className = "line";
      tr.append(make("td", "Below: did not run on all of these settings; over those that they ran on, not to be compared", { colSpan: columns.length }));
      body.push(tr, ...found.rest.map(row));
    }
    const budgets = { all: "every budget", fewest: "the fewest labels of each", most: "the most labels of each" }[state.labels];
    part("caption").textContent = `By ${yard.name}: ${state.tasks.size} of ${data.tasks.length} tasks, ${budgets}`;
    part("head").replaceChildren(...columns.map((c) => make("th", c, { scope: "col", className: c === "algorithm" ? "" : "num" })));
    part("body").replaceChildren(...body);
    const notes = [yard.said];
    if (!found.lines.length) notes.push("Nothing of this was run.");
    if (found.lines.length && found.common < found.of) notes.push(`Ranked on the ${found.common} of ${found.of} settings that these rows share.`);
    notes.push(found.tested
      ? "Computed in this page: settings are averaged within a seed; a row is ahead of another where Student's t interval of their difference, "
        + `paired by seed, excludes 0, Bonferroni over ${found.lines.length > 2 ? `its ${found.lines.length - 1} rivals` : "its one rival"}. `
        + (found.untested ? `Not tested: ${found.untested} of the pairs, because more than a quarter of their differences are the least or the largest; they share places. ` : "")
        + "The boards below allow for skew and ties too: where the two differ, those count."
      : yard.kind === "seeds" ? `In the order of the means, not tested: it takes two rows and ${data.few} seeds that they share.`
        : "In this order, not tested between rows: by settings with a value, then the geometric mean over those.");
    part("notes").replaceChildren(...notes.map((text) => make("p", text)));
    part("by").value = state.by; part("labels").value = state.labels;
    for (const [key, all] of [["tasks", data.tasks], ["rows", data.rows]]) {
      part(key + "-count").textContent = `${state[key].size} of ${all.length}`;
      part(key).querySelectorAll("input").forEach((box) => { box.checked = state[key].has(Number(box.value)); });
    }
    const same = (set, list) => set.size === list.length && list.every((i) => set.has(i));
    [...part("presets").children].forEach((button, i) => {
      const p = data.presets[i];
      button.setAttribute("aria-pressed", String(p.by === state.by && p.labels === state.labels && same(state.tasks, p.tasks) && same(state.rows, everything.rows)));
    });
  };
  const changed = () => { show(); write(); };

  // ------------------------------------------------------------------------------------------ what is chosen with
  part("by").append(...data.yards.map((y) => make("option", y.name, { value: y.id })));
  for (const key of ["by", "labels"]) part(key).addEventListener("change", () => { state[key] = part(key).value; changed(); });
  for (const [key, names] of [["tasks", data.tasks], ["rows", data.rows.map((r) => r.name)]]) {
    const button = make("button", "all", { type: "button" });
    button.addEventListener("click", () => { state[key] = new Set(everything[key]); changed(); });
    part(key).append(button, ...names.map((name, i) => {
      const label = document.createElement("label"), box = make("input", "", { type: "checkbox", value: String(i) });
      box.addEventListener("change", () => {
        box.checked ? state[key].add(i) : state[key].delete(i);
        if (!state[key].size) state[key].add(i);  // none is no choice
        changed();
      });
      label.append(box, " " + name);
      return label;
    }));
  }
  part("presets").append(...data.presets.map((p) => {
    const button = make("button", p.name, { type: "button", title: p.said });
    button.addEventListener("click", () => {
      Object.assign(state, { by: p.by, labels: p.labels, tasks: new Set(p.tasks), rows: new Set(everything.rows) });
      changed();
    });
    return button;
  }));
  addEventListener("hashchange", () => { if (location.hash.startsWith("#?") || location.hash === "") { read(); show(); } });
  read(); show();
  root.hidden = false;
})();
