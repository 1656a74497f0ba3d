"use strict";
// The tracks of one protein. All share a view: `start` and `span`, in residues. Arrays are packed: deflate, base64.
const data = JSON.parse(document.getElementById("data").textContent);
const L = data.residues.length, tracks = [], box = document.getElementById("tracks"), overview = document.getElementById("overview");
const view = { start: 0, span: L }, byId = id => document.getElementById(id);
const position = i => data.positions ? data.positions[i] : i + 1;
const signed = (v, digits) => (v < 0 ? "−" : "+") + Math.abs(v).toFixed(digits);
let colors = {}, cursor = null, waiting = false;

async function unpacked() {
  const bytes = Uint8Array.from(atob(data.packed), c => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer(), arrays = {};
  for (const [name, [bits, from, count, scale]] of Object.entries(data.arrays)) {
    const part = buffer.slice(from, from + count * bits / 8);
    arrays[name] = Float32Array.from(bits === 16 ? new Int16Array(part) : new Int8Array(part), v => v * scale);
  }
  return arrays;
}

function readColors() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["paper", "ink", "faint", "line", "wash", "for", "against", "domain", "gate", "other", "profile"])
    colors[name] = style.getPropertyValue("--" + name).trim();
}
const rgb = hex => [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));
// From the paper to a color and on towards the ink, in 0..1.
function ramp(name) {
  const from = rgb(colors.paper), through = rgb(colors[name]), to = through.map((v, k) => v + .45 * (rgb(colors.ink)[k] - v));
  return t => t < .7 ? from.map((v, k) => v + (through[k] - v) * t / .7) : through.map((v, k) => v + (to[k] - v) * (t - .7) / .3);
}

// Lowest and highest value in each column of pixels.
function columns(values, width, pool = 1) {
  const low = new Float32Array(width), high = new Float32Array(width);
  for (let x = 0; x < width; x++) {
    const a = Math.floor((view.start + x / width * view.span) / pool), b = Math.max(a + 1, Math.floor((view.start + (x + 1) / width * view.span) / pool));
    let lo = Infinity, hi = -Infinity;
    for (let i = a; i < b && i < values.length; i++) { if (values[i] < lo) lo = values[i]; if (values[i] > hi) hi = values[i]; }
    low[x] = lo; high[x] = hi;
  }
  return [low, high];
}

function context(canvas, height) {
  const ratio = Math.min(window.devicePixelRatio || 1, 2), width = Math.max(1, canvas.clientWidth);
  canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio); canvas.style.height = height + "px";
  const ctx = canvas.getContext("2d");
  ctx.scale(ratio, ratio);
  return [ctx, width];
}

function bars(values) {
  let top = 0, bottom = 0;
  for (const v of values) { if (v > top) top = v; if (v < bottom) bottom = v; }
  const reach = top - bottom || 1;
  return (ctx, w, h) => {
    const y = v => 2 + (top - v) / reach * (h - 4), zero = y(0), step = w / view.span, gap = step > 5 ? 1 : 0;
    const draw = (x, width, v) => { ctx.fillStyle = v > 0 ? colors.for : colors.against; ctx.fillRect(x, Math.min(zero, y(v)), width, Math.abs(y(v) - zero)); };
    if (step >= 1) {
      for (let i = Math.floor(view.start); i < Math.min(L, view.start + view.span + 1); i++) draw((i - view.start) * step, step - gap, values[i]);
    } else {
      const [low, high] = columns(values, Math.floor(w));
      for (let x = 0; x < low.length; x++) { if (high[x] > 0) draw(x, 1, high[x]); if (low[x] < 0) draw(x, 1, low[x]); }
    }
    ctx.fillStyle = colors.line; ctx.fillRect(0, zero - .5, w, 1);
  };
}

// Each of `series`: values and the name of a color.
function lines(series, low, high, filled) {
  return (ctx, w, h) => {
    const y = v => 2 + (high - v) / (high - low || 1) * (h - 4), step = w / view.span;
    ctx.fillStyle = colors.line; ctx.fillRect(0, h - 1, w, 1);
    for (const [values, color] of series) {
      ctx.beginPath();
      if (step >= 1) {
        for (let i = Math.floor(view.start); i < Math.min(L, view.start + view.span + 1); i++) {
          ctx.lineTo((i - view.start) * step, y(values[i])); ctx.lineTo((i + 1 - view.start) * step, y(values[i]));
        }
      } else {
        const [lo, hi] = columns(values, Math.floor(w));
        for (let x = 0; x < lo.length; x++) { ctx.lineTo(x, y(hi[x])); if (!filled) ctx.lineTo(x, y(lo[x])); }
      }
      ctx.strokeStyle = colors[color]; ctx.lineWidth = 1.3; ctx.stroke();
      if (filled) { ctx.lineTo(w, h); ctx.lineTo(0, h); ctx.globalAlpha = .25; ctx.fillStyle = colors[color]; ctx.fill(); ctx.globalAlpha = 1; }
    }
  };
}

// `values` has `rows` numbers for each column of `pool` residues; where pixels are fewer, the strongest value is shown.
function heat(values, rows, pool, most, isSigned) {
  return (ctx, w, h) => {
    const n = values.length / rows, width = Math.floor(w), image = ctx.createImageData(width, rows);
    const up = ramp(isSigned ? "for" : "gate"), down = ramp("against"), shades = [];
    for (let k = -255; k <= 255; k++) shades.push((k < 0 ? down : up)(Math.abs(k) / 255));
    for (let x = 0; x < width; x++) {
      const a = Math.floor((view.start + x / width * view.span) / pool), b = Math.min(n, Math.max(a + 1, Math.floor((view.start + (x + 1) / width * view.span) / pool)));
      for (let r = 0; r < rows; r++) {
        let v = 0;
        for (let i = a; i < b; i++) { const u = values[i * rows + r]; if (Math.abs(u) > Math.abs(v)) v = u; }
        const shade = shades[255 + Math.max(-255, Math.min(255, Math.round(v / most * 255)))], at = 4 * (r * width + x);
        image.data[at] = shade[0]; image.data[at + 1] = shade[1]; image.data[at + 2] = shade[2]; image.data[at + 3] = 255;
      }
    }
    const small = new OffscreenCanvas(width, rows);
    small.getContext("2d").putImageData(image, 0, 0);
    ctx.imageSmoothingEnabled = false;
    ctx.drawImage(small, 0, 0, w, h);
  };
}

function rulerAndLetters(values) {
  let most = 0;
  for (const v of values) most = Math.max(most, Math.abs(v));
  return (ctx, w, h) => {
    const step = w / view.span, every = [1, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000].find(n => n * step >= 48) || 20000;
    const last = Math.min(L, Math.ceil(view.start + view.span));
    ctx.font = "10px system-ui, sans-serif"; ctx.textAlign = "center"; ctx.fillStyle = colors.faint;
    for (let i = Math.floor(view.start); i < last; i++) {
      if (position(i) % every) continue;
      const x = (i + .5 - view.start) * step, half = ctx.measureText(position(i)).width / 2;
      if (x >= half && x <= w - half) ctx.fillText(position(i), x, 10);
      ctx.fillRect(x, 13, 1, 4);
    }
    const shade = (v, x, width) => { ctx.globalAlpha = Math.min(1, Math.abs(v) / most); ctx.fillStyle = v > 0 ? colors.for : colors.against; ctx.fillRect(x, 18, width, h - 18); ctx.globalAlpha = 1; };
    if (step < 1) {
      const [low, high] = columns(values, Math.floor(w));
      for (let x = 0; x < low.length; x++) shade(high[x] > -low[x] ? high[x] : low[x], x, 1);
      return;
    }
    ctx.font = `600 ${Math.min(13, step * 1.25)}px ui-monospace, Menlo, Consolas, monospace`;
    for (let i = Math.floor(view.start); i < last; i++) {
      const x = (i - view.start) * step;
      shade(values[i], x, step + .3);
      if (step >= 7) { ctx.fillStyle = colors.ink; ctx.fillText(data.residues[i], x + step / 2, h - 5); }
    }
  };
}

function domains(ctx, w, h) {
  const step = w / view.span, rows = data.rows;
  ctx.font = "10px system-ui, sans-serif";
  for (const [row, from, to, name, color] of data.segments) {
    const x = Math.max(0, (from - 1 - view.start) * step), end = Math.min(w, (to - view.start) * step), y = row * h / rows + 1, height = h / rows - 2;
    if (end <= 0 || x >= w) continue;
    ctx.fillStyle = colors[color]; ctx.globalAlpha = .85; ctx.fillRect(x, y, Math.max(2, end - x), height); ctx.globalAlpha = 1;
    const width = ctx.measureText(name).width;
    if (width < end - x - 6) { ctx.fillStyle = colors.paper; ctx.textAlign = "center"; ctx.fillText(name, (x + end) / 2, y + height / 2 + 3.5); }
    else if (end + width + 8 < w && data.segments.filter(s => s[0] === row).length === 1) { ctx.fillStyle = colors.faint; ctx.textAlign = "left"; ctx.fillText(name, end + 4, y + height / 2 + 3.5); }
  }
}

function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    for (const t of tracks) { const [ctx, w] = context(t.canvas, t.height); ctx.clearRect(0, 0, w, t.height); t.draw(ctx, w, t.height); }
    const [ctx, w] = context(overview, 34), all = { ...view };
    view.start = 0; view.span = L;
    tracks.whole(ctx, w, 34);
    Object.assign(view, all);
    const x = view.start / L * w, width = Math.max(4, view.span / L * w);
    ctx.fillStyle = colors.ink; ctx.globalAlpha = .08; ctx.fillRect(0, 0, x, 34); ctx.fillRect(x + width, 0, w, 34);
    ctx.globalAlpha = .6; ctx.strokeStyle = colors.ink; ctx.strokeRect(x + .5, .5, width - 1, 33); ctx.globalAlpha = 1;
  });
}

function show(start, span) {
  view.span = Math.max(Math.min(L, 12), Math.min(L, span));
  view.start = Math.max(0, Math.min(L - view.span, start));
  redraw();
}
const zoom = (factor, at = view.start + view.span / 2) => show(at - (at - view.start) * factor, view.span * factor);

// The lowest and highest value, for the head of a track.
function range(values, digits) {
  let low = Infinity, high = -Infinity;
  for (const v of values) { if (v < low) low = v; if (v > high) high = v; }
  return low < 0 ? ` ${signed(low, digits)} to ${signed(high, digits)}` : ` ${low.toFixed(digits)} to ${high.toFixed(digits)}`;
}

function track(title, height, draw, at) {
  const element = document.createElement("div"), head = document.createElement("div"), name = document.createElement("span");
  const output = document.createElement("output"), canvas = document.createElement("canvas");
  element.className = "track"; head.className = "head"; name.className = "name";
  name.append(...title); head.append(name, output); element.append(head, canvas); box.append(element);
  const made = { canvas, height, draw, at, output };
  tracks.push(made);
  return made;
}
const bold = text => { const b = document.createElement("b"); b.textContent = text; return b; };
function key(color, text) {
  const both = document.createElement("span"), mark = document.createElement("i");
  both.className = "key"; mark.style.background = `var(--${color})`;
  both.append(mark, text);
  return both;
}

function makeTracks(arrays) {
  const first = arrays[data.methods[0].key];
  tracks.whole = bars(first);
  track([bold("Sequence")], 36, rulerAndLetters(first), () => "");
  if (data.segments.length) track([bold("Segments"), ...data.keys.map(([color, text]) => key(color, text))], 18 * data.rows, domains, () => "");
  for (const { key, title } of data.methods)
    track([bold(title), range(arrays[key], 2) + " logits"], 76, bars(arrays[key]), i => signed(arrays[key][i], 3));
  for (const { key, title, color, high } of data.areas)
    track([bold(title), range(arrays[key], 3)], 44, lines([[arrays[key], color]], 0, high, true), i => arrays[key][i].toPrecision(2));
  if (data.mutations) {
    const letters = data.mutations.letters, most = data.mutations.most, drawn = heat(arrays.mutations, 20, 1, most, true);
    const value = (i, row) => arrays.mutations[i * 20 + row];
    const made = track([bold("Mutagenesis"), range(arrays.mutations, 1) + " logits", key("against", "lower"), key("for", "higher")], 240, drawn, (i, y) => {
      if (y === null) { const all = [...letters].map((_, r) => value(i, r)); return "mean " + signed(all.reduce((a, b) => a + b) / [...letters].filter(l => l !== data.residues[i]).length, 2); }
      const row = Math.min(19, Math.floor(y * 20));
      return `${data.residues[i]}${position(i)}${letters[row]} ${signed(value(i, row), 2)}`;
    });
    const names = document.createElement("div");
    names.className = "names";
    names.append(...[...letters].map(letter => { const name = document.createElement("span"); name.textContent = letter; return name; }));
    made.canvas.after(names);
  }
  for (const { title, series, low, high } of data.gates) {
    const drawn = series.map(([key, color]) => [arrays[key], color]);
    track([bold(title), ` mean${range(series.flatMap(([key]) => [...arrays[key]]), 2)}`, ...series.map(([, color, text]) => key(color, text))], 40, lines(drawn, low, high, false), i => drawn.map(([v]) => v[i].toFixed(3).replace("-", "−")).join("  "));
  }
  if (data.units) unitTrack(arrays);
}

function unitTrack(arrays) {
  const { rows, pool, maps, order, bin } = data.units, select = document.createElement("select");
  for (const [n, map] of maps.entries()) select.append(new Option(map.title, n));
  select.setAttribute("aria-label", "gate of each unit");
  const note = bin > 1 ? ` each column is the mean of ${bin} steps;` : "";
  const made = track([bold("Units of "), select, `${note} a row is a unit`], Math.min(320, 2 * rows), null, null);
  select.value = maps.findIndex(map => map.signed && map.key.endsWith("cell"));
  const choose = () => {
    const map = maps[select.value], values = arrays[map.key];
    made.draw = heat(values, rows, pool, map.most, map.signed);
    made.at = (i, y) => {
      if (y === null) return "";
      const row = Math.min(rows - 1, Math.floor(y * rows));
      return `unit ${order[map.layer][row] + 1}: ${values[Math.floor(i / pool) * rows + row].toFixed(2)}`;
    };
    redraw();
  };
  select.addEventListener("change", choose);
  choose();
}

function point(event) {
  const bounds = box.getBoundingClientRect(), share = (event.clientX - bounds.left) / bounds.width;
  const i = Math.max(0, Math.min(L - 1, Math.floor(view.start + share * view.span)));
  cursor = i;
  const cross = byId("cross");
  cross.style.display = "block"; cross.style.left = (i + .5 - view.start) / view.span * bounds.width + "px";
  let own = "";
  for (const t of tracks) {
    const over = t.canvas === event.target, y = over ? Math.max(0, Math.min(.9999, event.offsetY / t.height)) : null;
    const text = t.at(i, y);
    t.output.textContent = text;
    if (over) own = text;
  }
  const tip = byId("tip"), inside = data.segments.filter(([, a, b]) => a <= i + 1 && i + 1 <= b).map(s => s[5]);
  const name = `${data.residues[i]}${position(i)}`;
  tip.textContent = [own.startsWith(name) ? own : `${name} ${own}`, ...new Set(inside)].join("\n");
  tip.style.display = "block";
  const left = event.clientX + 14 + tip.offsetWidth > document.documentElement.clientWidth ? event.clientX - tip.offsetWidth - 14 : event.clientX + 14;
  tip.style.left = Math.max(4, left) + "px"; tip.style.top = Math.max(4, event.clientY - tip.offsetHeight - 12) + "px";
}
function leave() { byId("cross").style.display = byId("tip").style.display = "none"; for (const t of tracks) t.output.textContent = ""; }

function listen() {
  let from = null;
  box.addEventListener("pointerdown", event => {
    if (event.target.tagName !== "CANVAS") return;
    from = { x: event.clientX, start: view.start, onOverview: event.target === overview };
    event.target.setPointerCapture(event.pointerId);
    if (from.onOverview) move(event); else point(event);
  });
  const move = event => {
    const width = box.clientWidth;
    if (from && from.onOverview) show((event.clientX - box.getBoundingClientRect().left) / width * L - view.span / 2, view.span);
    else if (from) show(from.start - (event.clientX - from.x) / width * view.span, view.span);
    if (event.target.tagName === "CANVAS" && event.target !== overview) point(event); else leave();
  };
  box.addEventListener("pointermove", move);
  for (const end of ["pointerup", "pointercancel"]) box.addEventListener(end, () => { from = null; });
  box.addEventListener("pointerleave", leave);
  box.addEventListener("wheel", event => {
    const width = box.clientWidth, across = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      zoom(Math.exp(event.deltaY / 200), view.start + (event.clientX - box.getBoundingClientRect().left) / width * view.span);
    } else if (Math.abs(across) > Math.abs(event.shiftKey ? 0 : event.deltaY)) { event.preventDefault(); show(view.start + across / width * view.span, view.span); }
  }, { passive: false });
  box.addEventListener("keydown", event => {
    const act = { "+": () => zoom(.6), "=": () => zoom(.6), "-": () => zoom(1 / .6), ArrowLeft: () => show(view.start - view.span / 8, view.span), ArrowRight: () => show(view.start + view.span / 8, view.span), Home: () => show(0, view.span), End: () => show(L, view.span) }[event.key];
    if (act && event.target === box) { event.preventDefault(); act(); }
  });
  byId("whole").onclick = () => show(0, L);
  byId("in").onclick = () => zoom(.6);
  byId("out").onclick = () => zoom(1 / .6);
  byId("letters").onclick = () => { const span = box.clientWidth / 11; show((cursor ?? data.peak) - span / 2, span); };
  for (const link of document.querySelectorAll("a[data-from]"))
    link.addEventListener("click", () => { const a = +link.dataset.from, b = +link.dataset.to, margin = Math.max(8, (b - a) / 4); show(a - 1 - margin, b - a + 1 + 2 * margin); });
  addEventListener("resize", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColors(); redraw(); });
}

function writeSequence(values) {
  let most = 0;
  for (const v of values) most = Math.max(most, Math.abs(v));
  const all = document.createDocumentFragment();
  for (let a = 0; a < L; a += 10) {
    const block = document.createElement("span");
    block.className = "block"; block.dataset.from = position(a);
    for (let i = a; i < Math.min(L, a + 10); i++) {
      const letter = document.createElement("span"), share = Math.round(85 * Math.abs(values[i]) / most);
      letter.textContent = data.residues[i];
      if (share > 3) letter.style.background = `color-mix(in srgb, var(--${values[i] > 0 ? "for" : "against"}) ${share}%, transparent)`;
      block.append(letter);
    }
    all.append(block, " ");
  }
  byId("sequence").append(all);
}

unpacked().then(arrays => {
  readColors();
  const cross = document.createElement("div");
  cross.id = "cross";
  makeTracks(arrays);
  box.append(cross);
  writeSequence(arrays[data.methods[0].key]);
  listen();
  redraw();
}).catch(error => { box.append(`The tracks cannot be drawn (${error.message}); a browser from 2023 on is needed.`); });
