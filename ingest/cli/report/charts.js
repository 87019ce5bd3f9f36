"use strict";
// The charts of tickers, and the growth of what is stored, drawn by TradingView Lightweight Charts.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { createChart, CandlestickSeries, HistogramSeries, AreaSeries } = LightweightCharts;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  function themed(chart, paint) {
    const apply = () => {
      chart.applyOptions({
        layout: { background: { type: "solid", color: colour("card") }, textColor: colour("muted"),
          panes: { separatorColor: colour("line"), enableResize: false } },
        grid: { vertLines: { visible: false }, horzLines: { color: colour("line") } },
        crosshair: { vertLine: { color: colour("pending"), labelBackgroundColor: colour("pending") },
          horzLine: { color: colour("pending"), labelBackgroundColor: colour("pending") } },
      });
      paint();
    };
    apply();
    dark.addEventListener("change", apply);
  }

  // The wheel scrolls the page; dragging, pinching and keys move the chart.
  function made(element, signs) {
    const chart = createChart(element, {
      autoSize: true,
      layout: { fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 12, attributionLogo: signs },
      rightPriceScale: { borderVisible: false },
      timeScale: { borderVisible: false, timeVisible: true, secondsVisible: false, fixLeftEdge: true, rightOffset: 2, minBarSpacing: 0.1 },
      handleScroll: { mouseWheel: false, vertTouchDrag: false },
      handleScale: { mouseWheel: false },
    });
    element.addEventListener("keydown", (event) => {
      const scale = chart.timeScale(), range = scale.getVisibleLogicalRange();
      if (!range) return;
      const width = range.to - range.from, step = Math.max(1, width / 10);
      const moves = { ArrowLeft: [-step, -step], ArrowRight: [step, step], "+": [step, 0], "=": [step, 0], "-": [-step, 0] };
      const move = moves[event.key];
      if (!move || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      scale.setVisibleLogicalRange({ from: range.from + move[0], to: range.to + move[1] });
    });
    return chart;
  }

  const units = ["", "k", "m", "bn", "tn"];
  function short(value) {
    if (value === null || value === undefined) return "–";
    let at = 0;
    while (Math.abs(value) >= 1000 && at < units.length - 1) {
      value /= 1000;
      at += 1;
    }
    return `${at || !Number.isInteger(value) ? value.toPrecision(3) : value}${units[at]}`;
  }
  const bytes = (value) => short(value).replace(/([a-z]*)$/, (unit) => ` ${{ "": "", k: "k", m: "M", bn: "G", tn: "T" }[unit]}B`);
  const decimals = (value) => (Math.abs(value) >= 1 ? 2 : Math.abs(value) >= 0.01 ? 4 : 8);

  // A factor for each bar, from the steps at which it changes.
  function factors(steps, length) {
    const found = new Array(length).fill(1);
    steps.forEach(([from, factor], at) => found.fill(factor, from, at + 1 < steps.length ? steps[at + 1][0] : length));
    return found;
  }

  function bars(one, { dates, labels }, adjusts) {
    const by = factors(adjusts ? one.by : [], one.c.length), times = factors(adjusts ? one.times : [], one.c.length);
    const at = (n) => (typeof one.at === "number" ? one.at + n : one.at[n]);
    const scaled = (value, factor) => (value === null ? null : value * factor);
    return one.c.map((_, n) => ({
      time: dates[at(n)], label: (labels || dates)[at(n)], open: scaled(one.o[n], by[n]), high: scaled(one.h[n], by[n]), low: scaled(one.l[n], by[n]),
      close: scaled(one.c[n], by[n]), volume: scaled(one.v[n], times[n]),
    }));
  }

  function draw(box) {
    const canvas = box.querySelector(".canvas"), readout = box.querySelector(".readout");
    const select = box.querySelector("select"), choices = [...box.querySelectorAll("input")];
    const all = data.charts.flatMap((part, at) => part.tickers.map((one) => ({ one, part })));
    const chart = made(canvas, true);
    const candles = chart.addSeries(CandlestickSeries, { borderVisible: false });
    const volumes = chart.addSeries(HistogramSeries, { priceFormat: { type: "custom", formatter: short, minMove: 1 },
      lastValueVisible: false, priceLineVisible: false }, 1);
    chart.panes()[1].setStretchFactor(0.22);
    chart.panes()[0].setStretchFactor(0.78);
    let shown = { one: null, rows: [] }, span = data.span;

    function say(row) {
      if (!row) return;
      const digits = decimals(row.close ?? 1);
      const cells = [["", row.label]];
      for (const name of ["open", "high", "low", "close"]) {
        cells.push([name, row[name] === null ? "–" : row[name].toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })]);
      }
      if (shown.one.v.some((value) => value !== null)) cells.push(["volume", short(row.volume)]);
      if (row.yahoo) cells.push(["", "from Yahoo"]);
      readout.replaceChildren(...cells.map(([name, value]) => {
        const cell = document.createElement("b");
        cell.style.fontWeight = "400";
        const label = document.createElement("span");
        label.textContent = name ? `${name} ` : "";
        cell.append(label, value);
        return cell;
      }));
    }

    function paint() {
      const up = colour("up"), down = colour("down");
      candles.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down });
      volumes.setData(shown.rows.map((row) => (row.volume === null ? { time: row.time }
        : { time: row.time, value: row.volume, color: `${row.close >= row.open ? up : down}80` })));
    }

    function reach() {
      const count = shown.rows.length;
      for (const tool of box.querySelectorAll("[data-bars]")) tool.setAttribute("aria-pressed", String(+tool.dataset.bars === span));
      if (!span || span >= count) chart.timeScale().fitContent();
      else chart.timeScale().setVisibleLogicalRange({ from: count - span, to: count + 1 });
    }

    function fill(keeps) {
      const { one, part } = all[select ? select.selectedIndex : 0];
      const changed = one !== shown.one;
      if (choices.length) {
        choices[0].disabled = !one.adjusts;
        if (!keeps || !one.adjusts) choices[one.adjusts ? 0 : 1].checked = true;
      }
      const adjusts = choices.length > 0 && choices[0].checked;
      const rows = bars(one, part, adjusts);
      for (const at of one.yahoo) rows[at].yahoo = true;
      shown = { one, rows };
      const last = rows[rows.length - 1], digits = decimals(last.close ?? 1);
      candles.applyOptions({ priceFormat: { type: "price", precision: digits, minMove: 10 ** -digits } });
      candles.setData(rows.map((row) => (row.close === null || row.open === null ? { time: row.time } : row)));
      paint();
      say(last);
      box.querySelector(".note").textContent = one.note || "";
      canvas.setAttribute("aria-label", `${one.ticker}, ${adjusts ? "adjusted" : one.as || "as traded"}, ${rows.length} bars, ${rows[0].label} to ${last.label}`);
      chart.panes()[1].setStretchFactor(one.v.some((value) => value !== null) ? 0.22 : 0.001);
      if (changed) reach();
    }

    if (select) {
      for (const part of data.charts) {
        const group = document.createElement("optgroup");
        group.label = part.dataset;
        group.append(...part.tickers.map((one) => new Option(one.ticker)));
        select.append(...(data.charts.length > 1 ? [group] : group.childNodes));
      }
      select.addEventListener("change", () => fill(false));
      for (const step of box.querySelectorAll("[data-step]")) {
        step.addEventListener("click", () => {
          select.selectedIndex = (select.selectedIndex + +step.dataset.step + all.length) % all.length;
          fill(false);
        });
      }
    }
    for (const choice of choices) choice.addEventListener("change", () => fill(true));
    for (const tool of box.querySelectorAll("[data-bars]")) {
      tool.addEventListener("click", () => {
        span = +tool.dataset.bars;
        reach();
      });
    }
    chart.subscribeCrosshairMove((where) => {
      const at = where.logical === undefined ? undefined : Math.round(where.logical);
      say(shown.rows[at] || shown.rows[shown.rows.length - 1]);
    });
    themed(chart, paint);
    fill(false);
  }

  function grow(canvas) {
    const chart = made(canvas, !box);
    const area = chart.addSeries(AreaSeries, { lineWidth: 2, priceFormat: { type: "custom", formatter: bytes, minMove: 1 }, lastValueVisible: true, priceLineVisible: false });
    area.setData(data.growth.map(([time, value]) => ({ time, value })));
    themed(chart, () => {
      area.applyOptions({ lineColor: colour("held"), topColor: `${colour("held")}55`, bottomColor: `${colour("held")}08` });
    });
    chart.timeScale().fitContent();
  }

  const box = document.getElementById("chart");
  if (box) draw(box);
  const canvas = document.querySelector("#growth .canvas");
  if (canvas) grow(canvas);
})();
