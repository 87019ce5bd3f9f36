"use strict";
// The calendars: a click on a day, or Enter on it, shows its reason; the arrow keys move between days.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const detail = document.getElementById("detail");
  const number = new Intl.NumberFormat("en-US");
  const long = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
  const states = { h: "held", c: "corrected", q: "quarantined", d: "damaged", m: "missing", f: "forbidden", p: "pending", o: "holiday" };
  let pressed = null;

  const bytes = (count) => {
    for (const unit of ["B", "kB", "MB", "GB"]) {
      if (count < 1000) return `${unit === "B" ? count : count.toFixed(1)} ${unit}`;
      count /= 1000;
    }
    return `${count.toFixed(1)} TB`;
  };
  const element = (name, text, kind) => {
    const made = document.createElement(name);
    made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const dateOf = (day) => `${day.closest(".month").dataset.month}-${day.textContent.padStart(2, "0")}`;
  const worded = (iso) => long.format(new Date(`${iso}T00:00:00Z`));
  const signOf = (day) => day.className.slice(-1);
  const labelOf = (day) => `${worded(dateOf(day))}: ${data.labels[states[signOf(day)]]}`;

  function linesOf(facts, at) {
    const lines = [];
    if (facts.rows[at] || facts.bytes[at]) {
      const stored = facts.ats[facts.at[at]];
      lines.push(`${number.format(facts.rows[at])} rows, ${bytes(facts.bytes[at])}${stored ? `, stored ${stored} UTC` : ""}.`);
    }
    const why = facts.whys[facts.why[at]];
    if (why) lines.push(why);
    const found = facts.findings[at];
    if (found) lines.push(`Findings: ${found.map(([kind, count]) => `${data.kinds[kind]} (${number.format(count)})`).join(", ")}.`);
    return lines;
  }

  function show(day, calendar) {
    if (pressed) pressed.removeAttribute("aria-pressed");
    pressed = day;
    day.setAttribute("aria-pressed", "true");
    const head = element("div", "", "head");
    head.append(element("i", "", `day ${signOf(day)}`), element("strong", worded(dateOf(day))),
      element("span", `${calendar.dataset.dataset}: ${data.labels[states[signOf(day)]]}`, "muted"));
    const close = element("button", "×", "close");
    close.setAttribute("aria-label", "Close");
    close.addEventListener("click", hide);
    const lines = linesOf(data.days[calendar.number], calendar.days.indexOf(day));
    detail.replaceChildren(head, ...lines.map((line) => element("p", line)), close);
    detail.hidden = false;
  }

  function hide() {
    detail.hidden = true;
    if (!pressed) return;
    pressed.removeAttribute("aria-pressed");
    pressed.focus();
    pressed = null;
  }

  function reach(calendar, day) {
    calendar.current.tabIndex = -1;
    calendar.current = day;
    day.tabIndex = 0;
    const group = day.closest("details");
    if (group) group.open = true;
    day.setAttribute("aria-label", labelOf(day));
    day.focus();
    if (!detail.hidden) show(day, calendar);
  }

  const steps = { ArrowDown: 1, ArrowUp: -1, ArrowRight: 7, ArrowLeft: -7, PageDown: 28, PageUp: -28 };
  function target(calendar, day, key) {
    const mine = [...day.closest(".year").querySelectorAll("button.day")];
    if (key === "Home") return mine[0];
    if (key === "End") return mine[mine.length - 1];
    const from = Date.parse(dateOf(day)), wanted = from + steps[key] * 864e5;
    // The nearest day in that direction: weekends have no square.
    const ahead = calendar.byDate.filter(([at]) => (steps[key] > 0 ? at > from : at < from));
    ahead.sort(([a], [b]) => Math.abs(a - wanted) - Math.abs(b - wanted));
    return ahead.length ? ahead[0][1] : null;
  }

  document.querySelectorAll(".dataset").forEach((calendar, at) => {
    calendar.number = at;
    calendar.days = [...calendar.querySelectorAll("button.day")];
    if (!calendar.days.length) return;
    calendar.byDate = calendar.days.map((day) => [Date.parse(dateOf(day)), day]);
    calendar.current = calendar.byDate.reduce((last, one) => (one[0] > last[0] ? one : last))[1];
    calendar.current.tabIndex = 0;
    calendar.addEventListener("click", (event) => {
      const day = event.target.closest("button.day");
      if (!day) return;
      calendar.current.tabIndex = -1;
      calendar.current = day;
      day.tabIndex = 0;
      show(day, calendar);
    });
    calendar.addEventListener("keydown", (event) => {
      const day = event.target.closest("button.day");
      if (!day || !(event.key in steps || event.key === "Home" || event.key === "End")) return;
      event.preventDefault();
      const next = target(calendar, day, event.key);
      if (next) reach(calendar, next);
    });
    for (const kind of ["mouseover", "focusin"]) {
      calendar.addEventListener(kind, (event) => {
        const day = event.target.closest("button.day");
        if (!day) return;
        day.title = labelOf(day);
        day.setAttribute("aria-label", labelOf(day));
      });
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !detail.hidden) hide();
  });
})();
