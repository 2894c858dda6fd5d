// Behaviour of the page: sort, filter, open a record, light and dark.  Text gets in through textContent only.
"use strict";
(() => {
  const find = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  function make(tag, text, properties = {}) {
    const element = Object.assign(document.createElement(tag), properties);
    if (text !== undefined) element.textContent = text;
    return element;
  }

  // ---- records: parsed when the first one is opened -----------------------------------------------------------------
  const dialog = find("#record");
  let parsed;
  const stored = () => (parsed ??= JSON.parse(find("#data").textContent));

  function list(facts) {
    const shown = make("dl");
    for (const [term, words] of facts) shown.append(make("dt", term), make("dd", words));
    return shown;
  }

  function table({ caption, head, rows }, text) {
    const shown = make("table");
    shown.append(make("caption", text(caption)));
    const top = shown.createTHead().insertRow();
    for (const cell of head) top.append(make("th", text(cell), { scope: "col" }));
    const body = shown.createTBody();
    for (const [first, ...others] of rows) {
      const row = body.insertRow();
      row.append(make("th", text(first), { scope: "row" }), ...others.map((cell) => make("td", text(cell))));
    }
    const scroll = make("div", undefined, { className: "scroll", tabIndex: 0, role: "region" });
    scroll.setAttribute("aria-label", text(caption));
    scroll.append(shown);
    return scroll;
  }

  function code(title, text) {
    const block = make("pre", text, { tabIndex: 0 });
    block.setAttribute("aria-label", title);
    return [make("h3", title), block];
  }

  function fillRecord(name) {
    const text = (place) => stored().texts[place];
    const record = stored().records[name];
    find("#record-title").textContent = text(record.title);
    find("#record-body").replaceChildren(
      ...code("Command to run it again", text(record.command)),
      ...record.tables.map((each) => table(each, text)),
      list(record.facts.map((fact) => fact.map(text))),
      ...code("Protocol, in full", text(record.protocol)),
    );
    find("#record-body").scrollTop = 0;
    for (const each of all("#record-seeds button")) each.setAttribute("aria-pressed", each.dataset.record === name);
    history.replaceState(null, "", `#record-${name}`);
  }

  function openRecords(names, numbers) {
    const seeds = names.map((name, i) => {
      const button = make("button", numbers[i] ?? name, { type: "button" });
      button.dataset.record = name;
      button.addEventListener("click", () => fillRecord(name));
      return button;
    });
    find("#record-seeds").hidden = names.length < 2;
    find("#record-seeds div").replaceChildren(...seeds);
    fillRecord(names[0]);
    dialog.showModal();
  }

  function openSource(button) {
    const row = button.closest("tr");
    find("#record-title").textContent = `${row.dataset.label}: ${button.textContent}`;
    find("#record-seeds").hidden = true;
    find("#record-body").replaceChildren(list([["Origin", row.dataset.origin], ...JSON.parse(row.dataset.facts)]));
    dialog.showModal();
  }

  document.addEventListener("click", ({ target }) => {
    const button = target.closest("button.number");
    if (button?.dataset.records) openRecords(button.dataset.records.split(" "), button.dataset.seeds.split(" "));
    else if (button) openSource(button);
    else if (target === dialog || target.closest("#record-close")) dialog.close();
  });
  dialog.addEventListener("close", () => history.replaceState(null, "", location.pathname + location.search));

  function openLinked() {
    const name = location.hash.replace("#record-", "");
    if (location.hash.startsWith("#record-") && Object.hasOwn(stored().records, name) && !dialog.open)
      openRecords([name], []);
  }
  addEventListener("hashchange", openLinked);

  // ---- rows beyond the first of a section: laid out when they are opened, sorted or filtered -----------------------
  const numWaiting = (body) => all("tr.more template", body).reduce((sum, { content }) => sum + content.childElementCount, 0);
  let position;

  function showAllRows() {
    if (position) return;
    for (const more of all("tr.more")) more.replaceWith(find("template", more).content);
    position = new Map(all("tr[data-origin]").map((row, i) => [row, i]));
  }

  for (const button of all("tr.more button"))
    button.addEventListener("click", () => {
      const last = button.closest("tr").previousElementSibling;
      showAllRows();
      find("button", last.nextElementSibling)?.focus();
      filterRows();
    });

  // ---- sorting: within each section, so that measured and published numbers never mix ------------------------------
  function compare(column, descending) {
    const sign = descending ? -1 : 1;
    return (first, second) => {
      const [a, b] = [first, second].map((row) => row.cells[column]);
      const [x, y] = [a, b].map((cell) => (cell.dataset.value ? Number(cell.dataset.value) : null));
      if (x !== null && y !== null) return sign * (x - y) || position.get(first) - position.get(second);
      if (x !== null || y !== null) return x === null ? 1 : -1;
      const [s, t] = [a.textContent.trim(), b.textContent.trim()];
      if (!s !== !t) return s ? -1 : 1;
      return sign * s.localeCompare(t, "en", { numeric: true }) || position.get(first) - position.get(second);
    };
  }

  function sortRows(board, order) {
    showAllRows();
    for (const body of all("tbody", board)) {
      const rows = all("tr[data-origin]", body).sort(order);
      const [last, others] = [true, false].map((at) => rows.filter((row) => (row.dataset.origin === "reference") === at));
      body.append(...others, ...last);
    }
  }

  function sortBy(header) {
    const board = header.closest("table");
    const best = header.dataset.first;
    const other = best === "descending" ? "ascending" : "descending";
    const next = header.getAttribute("aria-sort") === best ? other : best;
    for (const each of all("th[aria-sort]", board)) each.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", next);
    sortRows(board, compare(Number(header.dataset.column), next === "descending"));
    say(`${find("caption", board).textContent.trim()} sorted by ${header.dataset.place}, ${next}`);
  }

  function unsort(board) {
    for (const each of all("th[aria-sort]", board)) each.removeAttribute("aria-sort");
    sortRows(board, (first, second) => position.get(first) - position.get(second));
  }

  for (const button of all("th button")) button.addEventListener("click", () => sortBy(button.closest("th")));

  // ---- filters -----------------------------------------------------------------------------------------------------
  const filters = find("#filters");
  const say = (words) => (find("#status").textContent = words);

  function filterRows() {
    const model = find("#model").value.trim().toLowerCase();
    const board = find("#board")?.value ?? "";
    const origins = new Set(all("input[name=origin]:checked").map((box) => box.value));
    if (model !== "" || find("input[name=origin]:not(:checked)")) showAllRows();
    const isHidden = ({ origin, label, model: identifier = "" }) => {
      const filed = ["reference", "difference"].includes(origin) ? "measured" : origin;
      return !origins.has(filed) || (origin !== "reference" && !`${label}\n${identifier}`.toLowerCase().includes(model));
    };
    let [shown, total] = [0, 0];
    for (const section of all("section.board")) {
      section.hidden = board !== "" && section.id !== board;
      for (const body of all("tbody", section)) {
        const rows = all("tr[data-origin]", body);
        for (const row of rows) row.hidden = isHidden(row.dataset);
        const models = rows.filter((row) => row.dataset.origin !== "reference");
        body.hidden = rows.every((row) => row.hidden);
        total += models.length + numWaiting(body);
        shown += section.hidden ? 0 : models.filter((row) => !row.hidden).length;
      }
    }
    say(`${shown} of ${total} rows`);
  }

  filters.addEventListener("input", filterRows);
  filters.addEventListener("submit", (event) => event.preventDefault());
  find("#clear").addEventListener("click", () => {
    filters.reset();
    if (position) for (const board of all("table.scores")) unsort(board);
    filterRows();
  });

  // ---- light and dark: the system's choice until the reader makes one ----------------------------------------------
  const system = matchMedia("(prefers-color-scheme: dark)");
  const toggle = find("#dark");
  let chosen = null;

  function dress() {
    const dark = chosen ?? system.matches;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    toggle.setAttribute("aria-pressed", dark);
  }

  toggle.addEventListener("click", () => {
    chosen = !(chosen ?? system.matches);
    dress();
  });
  system.addEventListener("change", dress);

  dress();
  filterRows();
  openLinked();
})();
