// The page of a watch. Every text of a workflow is put in place as text, never as HTML.
"use strict";

const STANDINGS = {
  waiting: "waiting for the next save", planned: "about to run", running: "running", done: "up to date",
  failed: "failed; waiting for the next save", overtaken: "stopped",
};
// How boxes of the drawing look in each state; the drawing's own style comes first.
const STATES = `
  svg { display: block; height: auto; }
  svg.fit { width: 100%; }
  g.cached > rect.b { fill: #e3f4e1; stroke: #4a9d45; }
  g.done > rect.b { fill: #c9ebc5; stroke: #2f8a3a; stroke-width: 2; }
  g.running > rect.b { fill: #ffe9cc; stroke: #e07b00; stroke-width: 3; }
  g.failed > rect.b { fill: #fbe3e1; stroke: #d32030; stroke-width: 3; }
  g.blocked > rect.b { fill: #f3e4f5; stroke: #8e4a9d; }
  g.unneeded { opacity: .55; }
  rect.share { fill: #e07b00; }
  text.time { fill: #2f8a3a; font-weight: bold; }
  g.running > text.time { fill: #b45f00; }`;
const SVG = "http://www.w3.org/2000/svg";

let state = null; // what was told last
let heardAt = 0; // when, by performance.now()
let chosen = null; // the number of the workflow that the user picked
let drawn = null; // which plan is drawn, as text
let boxes = new Map(); // of the drawing, by the id of their node
let rows = new Map(); // of the table, by the id of their node
let isFit = true;

const at = (id) => document.getElementById(id);
const shadow = at("graph").attachShadow({mode: "open"});

function make(tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}

function seconds(value) {
  return value === null ? "" : value < 10 ? value.toFixed(2) : value.toFixed(1);
}

function clock(unix) {
  return new Date(unix * 1000).toTimeString().slice(0, 8);
}

function show() {
  const number = chosen !== null && chosen < state.flows.length ? chosen : state.current;
  const flow = state.flows[number];
  showFlows(number);
  document.title = `${flow.name}: ${STANDINGS[flow.standing]}`;
  at("standing").textContent = STANDINGS[flow.standing];
  at("standing").dataset.state = flow.standing;
  at("counts").textContent = counts(flow);
  at("trouble").hidden = !flow.trouble;
  at("trouble").textContent = flow.trouble;
  list(at("changed"), flow.changed.map((text) => make("li", text)), "nothing yet");
  list(at("runs"), flow.runs.map(runItem), "none yet");
  list(at("notes"), state.notes.map((note) => make("li", `${clock(note.at)}  ${note.text}`)));
  showPictures(flow);
  showNodes(flow);
  draw(number, flow);
}

function counts(flow) {
  const found = new Map();
  for (const node of flow.nodes) found.set(node.state, (found.get(node.state) ?? 0) + 1);
  return [...found].map(([name, count]) => `${count} ${name}`).join(", ");
}

function list(place, items, empty) {
  place.replaceChildren(...(items.length || !empty ? items : [make("li", empty, "empty")]));
}

function showFlows(number) {
  const buttons = state.flows.map((flow, index) => {
    const button = make("button", flow.name);
    button.type = "button";
    button.title = flow.path;
    button.setAttribute("aria-pressed", String(index === number));
    button.addEventListener("click", () => { chosen = index; show(); });
    return button;
  });
  if (at("flows").textContent !== state.flows.map((flow) => flow.name).join("")
      || at("flows").querySelector('[aria-pressed="true"]') !== at("flows").children[number])
    at("flows").replaceChildren(...buttons);
}

function runItem(run) {
  const outcome = {done: "", failed: "failed, "}[run.outcome] ?? "stopped, ";
  const item = make("li", `${clock(run.at)}  ${outcome}${seconds(run.seconds)} s  `);
  item.append(make("small", `${run.executed} run, ${run.cached} from the cache`));
  const told = run.message || run.changed[0];
  if (told) item.append(document.createElement("br"), make("small", told));
  if (!run.message && run.changed.length > 1) item.append(make("small", ` and ${run.changed.length - 1} more`));
  return item;
}

function showPictures(flow) {
  const key = JSON.stringify(flow.files);
  const place = at("pictures");
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  const figures = flow.files.map((file, index) => {
    const figure = make("figure", undefined, index ? "small" : "");
    if (file.shown) {
      const picture = make(file.shown);
      picture.src = file.url;
      if (file.shown === "img") picture.alt = file.name;
      else picture.controls = true;
      figure.append(picture);
    }
    figure.append(make("figcaption", index ? file.name : file.path));
    return figure;
  });
  place.replaceChildren(...(figures.length ? figures : [make("p", "no pictures yet", "empty")]));
}

function showNodes(flow) {
  const known = rows;
  rows = new Map();
  for (const node of flow.nodes) {
    const row = known.get(node.id) ?? nodeRow();
    fillRow(row, node);
    rows.set(node.id, row);
  }
  const wanted = [...rows.values()];
  const body = at("nodes");
  if (wanted.length !== body.children.length || wanted.some((row, index) => row !== body.children[index]))
    body.replaceChildren(...wanted);
}

function nodeRow() {
  const row = make("tr");
  for (let column = 0; column < 5; column++) row.append(make("td", "", column === 3 ? "number" : ""));
  return row;
}

function fillRow(row, node) {
  const key = JSON.stringify(node);
  if (row.dataset.key === key) return;
  row.dataset.key = key;
  row.dataset.state = node.state;
  const [id, title, doing, time, why] = row.children;
  id.textContent = node.id;
  title.textContent = node.title;
  title.title = node.type;
  doing.textContent = node.state === "running" && node.total ? "" : node.state;
  if (node.state === "running" && node.total) {
    const bar = make("progress");
    bar.max = node.total;
    bar.value = node.value;
    doing.append(bar, ` ${node.value}/${node.total}`);
  }
  time.textContent = seconds(node.running ?? node.seconds);
  why.textContent = node.state === "cached" || node.state === "unneeded" ? "" : node.why;
}

async function draw(number, flow) {
  const key = `${number} ${flow.plan}`;
  if (drawn !== key) {
    drawn = key;
    const answer = flow.boxes.length ? await fetch(`/graph/${number}.svg?${flow.plan}`) : null;
    if (drawn !== key) return; // another one was asked for meanwhile
    boxes = new Map();
    if (answer === null || !answer.ok) {
      const text = flow.nodes.length ? "too many nodes to draw; they are listed below" : "nothing is planned yet";
      shadow.replaceChildren(make("p", text));
      return;
    }
    place(await answer.text(), flow.boxes);
  }
  const now = state.flows[number];
  for (const node of now.nodes) mark(boxes.get(node.id), node);
}

// Puts a drawing in place. Its style becomes a sheet: the page's policy allows no style elements.
function place(text, ids) {
  const style = /<style>([^<]*)<\/style>/.exec(text);
  const sheet = new CSSStyleSheet();
  sheet.replaceSync((style?.[1] ?? "") + STATES);
  shadow.adoptedStyleSheets = [sheet];
  const svg = new DOMParser().parseFromString(text.replace(style?.[0] ?? "", ""), "image/svg+xml").documentElement;
  const found = svg.querySelectorAll(":scope > g > g"); // the boxes, in the order of their nodes
  ids.forEach((id, index) => boxes.set(id, found[index]));
  svg.classList.toggle("fit", isFit);
  shadow.replaceChildren(document.adoptNode(svg));
}

function mark(box, node) {
  if (!box) return;
  const key = JSON.stringify([node.state, node.seconds, node.value, node.total]);
  if (box.dataset.key === key) return;
  box.dataset.key = key;
  box.setAttribute("class", node.state);
  for (const old of box.querySelectorAll(".time, .share")) old.remove();
  const frame = box.querySelector("rect");
  const [width, height] = [Number(frame.getAttribute("width")), Number(frame.getAttribute("height"))];
  if (node.state === "running" && node.total) {
    const share = document.createElementNS(SVG, "rect");
    const sizes = {class: "share", x: 4, y: height - 6, height: 4, width: (width - 8) * node.value / node.total};
    for (const [name, value] of Object.entries(sizes)) share.setAttribute(name, String(value));
    box.append(share);
  }
  if (node.state === "done" || node.state === "running") {
    const time = document.createElementNS(SVG, "text");
    for (const [name, value] of Object.entries({class: "time", x: width, y: -4, "text-anchor": "end"}))
      time.setAttribute(name, String(value));
    time.textContent = node.state === "done" ? `${seconds(node.seconds)} s` : "running";
    box.append(time);
  }
}

// The seconds of nodes that run go on between two messages.
function tick() {
  if (!state) return;
  const past = (performance.now() - heardAt) / 1000;
  const number = chosen !== null && chosen < state.flows.length ? chosen : state.current;
  for (const node of state.flows[number].nodes)
    if (node.running !== null && rows.has(node.id))
      rows.get(node.id).children[3].textContent = seconds(node.running + past);
}

at("zoom").addEventListener("click", () => {
  isFit = !isFit;
  at("zoom").textContent = isFit ? "full size" : "fit";
  shadow.querySelector("svg")?.classList.toggle("fit", isFit);
});

const events = new EventSource("/events");
events.addEventListener("open", () => { at("connection").hidden = true; });
events.addEventListener("error", () => { at("connection").hidden = false; });
events.addEventListener("message", (event) => {
  state = JSON.parse(event.data);
  heardAt = performance.now();
  show();
});
setInterval(tick, 100);
