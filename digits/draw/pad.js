// The page's side of digits/draw/pad.py: it draws strokes, sends them, and shows what is read.
// A stroke is a list of points [x, y, width] in pixels of the pad, however large it is shown.

const FAINT = 0.5; // evidence (difference of log-odds) below which a piece of ink hardly matters
const PATIENCE = 4000; // milliseconds without an answer after which the kernel is asked after
const STEP = 6; // pixels that an arrow key moves the pen; five times as many with Shift
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const FOR = [213, 94, 0]; // vermilion and blue of Okabe and Ito
const AGAINST = [0, 114, 178];
const NEUTRAL = [150, 150, 150];
const INSTRUCTIONS =
  "Drawing pad. Draw with mouse, pen or finger. With the keyboard: arrow keys move the pen, " +
  "with Shift faster; Space lowers and lifts it; Control and Z undoes; Delete clears.";

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Nothing is certain: the last tenth of a percent is not rounded up.
const percent = (share) =>
  share > 0.99 ? `${Math.min(99.9, Math.round(1000 * share) / 10)} %` : `${Math.round(100 * share)} %`;

function drawStroke(context, stroke) {
  context.lineCap = context.lineJoin = "round";
  for (const [i, [x, y, width]] of stroke.entries()) {
    const [fromX, fromY, fromWidth] = stroke[Math.max(i - 1, 0)];
    context.lineWidth = (fromWidth + width) / 2;
    context.beginPath();
    context.moveTo(fromX, fromY);
    context.lineTo(x, y); // to the same place: a dot
    context.stroke();
  }
}

function sharp(canvas, width, height) {
  // As many pixels as the screen has; the drawing goes on counting those of the pad.
  const density = window.devicePixelRatio || 1;
  const shown = canvas.getBoundingClientRect().width || width;
  const scale = Math.max(1, (shown * density) / width);
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  return context;
}

function drawSeen(canvas, encoded) {
  // 28 x 28 bytes, ink high: white on black, as the network gets it.
  const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
  canvas.width = canvas.height = 28;
  const context = canvas.getContext("2d");
  const image = context.createImageData(28, 28);
  bytes.forEach((value, i) => image.data.set([value, value, value, 255], 4 * i));
  context.putImageData(image, 0, 0);
}

function drawParts(canvas, box, parts) {
  const [left, top, width, height] = box;
  const side = 1.25 * Math.max(width, height);
  const context = sharp(canvas, side, side);
  context.translate(side / 2 - left - width / 2, side / 2 - top - height / 2);
  const most = Math.max(2 * FAINT, ...parts.map((part) => Math.abs(part.evidence)));
  // The strongest come last, over their neighbours' round ends.
  for (const part of [...parts].sort((a, b) => Math.abs(a.evidence) - Math.abs(b.evidence))) {
    const share = Math.abs(part.evidence) / most;
    const end = part.evidence > 0 ? FOR : AGAINST;
    const colour = NEUTRAL.map((value, i) => Math.round(value + share * (end[i] - value)));
    context.strokeStyle = `rgb(${colour})`;
    // What spoke against the digit is dotted, too: not by colour alone.
    const against = part.evidence < -FAINT;
    context.setLineDash(against ? [1, 1.4 * part.points[0][2]] : []);
    drawStroke(context, against ? [part.points[0], part.points.at(-1)] : part.points);
  }
}

function render({ model, el }) {
  const [padWidth, padHeight] = model.get("size");
  let strokes = model.get("strokes");
  let undone = []; // what was drawn before each change, for undo
  let stroke = null; // the one being drawn
  let pointer = null; // and what draws it: a pointer's number, or "keys"
  let pen = [padWidth / 2, padHeight / 2]; // where the keyboard's pen is
  let penShown = false;
  let chosen = 0; // the digit whose bars are shown
  let asked = 0;
  let timer = 0;

  // --- What there is ---------------------------------------------------------------------------

  const canvas = make("canvas", { tabindex: 0, role: "application", "aria-label": INSTRUCTIONS });
  canvas.style.aspectRatio = `${padWidth} / ${padHeight}`;
  const hint = make("p", { class: "hint", "aria-hidden": "true" }, "Draw one digit, or several");
  const undo = make("button", { type: "button", title: "Undo (Ctrl+Z)" }, "Undo");
  const clear = make("button", { type: "button", title: "Clear (Delete)" }, "Clear");
  const brush = make("input", { type: "range", min: 2, max: 40, step: 1 });
  brush.value = model.get("brush");
  const dot = make("span", { class: "dot", "aria-hidden": "true" });
  const label = make("input", {
    type: "text", inputmode: "numeric", pattern: "[0-9]+", maxlength: 20, size: 4,
    autocomplete: "off", "aria-label": "What the drawing shows", required: "",
  });
  const save = make("button", { type: "submit" }, "Save as PNG");
  const saving = make("form", { class: "saving" }, make("label", {}, "It shows ", label), save);
  const said = make("p", { class: "said", role: "status" });

  const text = make("span", { class: "text" });
  const state = make("span", { class: "state" });
  const result = make("p", { class: "result", role: "status", "aria-live": "polite" }, text, state);
  const note = make("p", { class: "note" });
  const bars = make("ol", { class: "bars", "aria-label": "Probability of each digit" });
  const rows = Array.from({ length: 10 }, (_, digit) => {
    const fill = make("span", { class: "fill" });
    const value = make("span", { class: "value" });
    const bar = make("span", { class: "bar", "aria-hidden": "true" }, fill);
    bars.append(make("li", {}, make("span", { class: "digit" }, String(digit)), bar, value));
    return { row: bars.lastChild, fill, value };
  });
  const time = make("p", { class: "soft time" });
  const seen = make("div", { class: "thumbnails", role: "group", "aria-label": "Digits found" });
  const seenCaption = make("figcaption", {}, "What the network sees: 28 x 28 pixels");
  const mattered = make("canvas", { class: "parts", role: "img" });
  const matteredCaption = make("figcaption", {});
  const figures = make(
    "div", { class: "figures" },
    make("figure", {}, seen, seenCaption),
    make("figure", { class: "mattered" }, mattered, matteredCaption),
  );
  const root = make(
    "div",
    // JupyterLab would else take arrow keys, Space and Ctrl+Z for itself.
    { class: "digits-pad", role: "group", "aria-label": "Digit reader", "data-lm-suppress-shortcuts": "true" },
    make(
      "div", { class: "layout" },
      make(
        "div", {},
        make("div", { class: "paper" }, canvas, hint),
        make(
          "div", { class: "tools" },
          undo, clear, make("label", { class: "brush" }, "Brush ", brush, dot), saving,
        ),
        said,
      ),
      make("div", {}, result, note, bars, time),
      figures,
    ),
  );
  el.append(root);

  // --- The drawing -----------------------------------------------------------------------------

  function redraw() {
    const context = sharp(canvas, padWidth, padHeight);
    for (const drawn of stroke ? [...strokes, stroke] : strokes) drawStroke(context, drawn);
    if (penShown) {
      const [x, y] = pen;
      context.lineWidth = 1.5;
      context.setLineDash(pointer === "keys" ? [] : [3, 3]);
      context.beginPath();
      context.arc(x, y, Math.max(4, brush.value / 2), 0, 7);
      context.moveTo(x - 12, y);
      context.lineTo(x + 12, y);
      context.moveTo(x, y - 12);
      context.lineTo(x, y + 12);
      context.strokeStyle = "#777";
      context.stroke();
    }
    hint.hidden = strokes.length > 0 || stroke !== null;
    undo.disabled = undone.length === 0;
    clear.disabled = strokes.length === 0;
    save.disabled = strokes.length === 0;
  }

  function change(next) {
    undone.push(strokes);
    send(next);
  }

  function send(next) {
    strokes = next;
    chosen = -1; // of several digits, the one drawn last
    asked = performance.now();
    model.set("asked", asked);
    model.set("strokes", strokes);
    model.save_changes();
    redraw();
    said.textContent = "";
    delete root.dataset.milliseconds; // until this is answered
    clearTimeout(timer);
    timer = setTimeout(() => {
      note.textContent = "No answer yet: is the notebook's kernel running?";
    }, PATIENCE);
  }

  function extend(x, y, width) {
    const within = (value, end) => Math.round(10 * Math.min(Math.max(value, 0), end)) / 10;
    const point = [within(x, padWidth), within(y, padHeight), Math.round(10 * width) / 10];
    const last = stroke.at(-1);
    if (last && Math.hypot(point[0] - last[0], point[1] - last[1]) < 1) return;
    stroke.push(point);
    const context = canvas.getContext("2d");
    drawStroke(context, last ? [last, point] : [point]);
  }

  function finish() {
    const done = stroke;
    stroke = pointer = null;
    if (done && done.length) change([...strokes, done]);
  }

  function addPointerEvent(event) {
    const frame = canvas.getBoundingClientRect();
    const moves = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    for (const move of moves.length ? moves : [event]) {
      // Only a pen has a pressure that means something; a half is the usual one.
      const pressure = move.pointerType === "pen" ? 0.4 + 1.2 * move.pressure : 1;
      extend(
        ((move.clientX - frame.left) * padWidth) / frame.width,
        ((move.clientY - frame.top) * padHeight) / frame.height,
        Math.max(1, brush.value * pressure),
      );
    }
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || pointer !== null) return; // a second finger, or the palm
    canvas.setPointerCapture(event.pointerId);
    pointer = event.pointerId;
    stroke = [];
    penShown = false;
    redraw();
    addPointerEvent(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId === pointer) addPointerEvent(event);
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(kind, (event) => {
      if (event.pointerId === pointer) finish();
    });
  }

  function stepBack() {
    if (undone.length) send(undone.pop());
  }

  function wipe() {
    if (strokes.length) change([]);
  }

  canvas.addEventListener("keydown", (event) => {
    const way = ARROWS[event.key];
    if (way) {
      const step = STEP * (event.shiftKey ? 5 : 1);
      const [x, y] = pen;
      pen = [
        Math.min(Math.max(x + step * way[0], 0), padWidth),
        Math.min(Math.max(y + step * way[1], 0), padHeight),
      ];
      if (pointer === "keys") extend(...pen, Number(brush.value));
    } else if (event.key === " " || event.key === "Enter") {
      if (pointer === "keys") {
        finish();
      } else if (pointer === null) {
        pointer = "keys";
        stroke = [];
        extend(...pen, Number(brush.value));
      }
    } else if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey)) {
      stepBack();
    } else if (event.key === "Delete" || event.key === "Backspace") {
      wipe();
    } else {
      return; // Tab, among others, goes on to the buttons
    }
    event.preventDefault();
    event.stopPropagation();
    penShown = true;
    redraw();
  });
  canvas.addEventListener("blur", () => {
    if (pointer === "keys") finish();
    penShown = false;
    redraw();
  });
  undo.addEventListener("click", stepBack);
  clear.addEventListener("click", wipe);
  brush.addEventListener("input", showBrush);
  saving.addEventListener("submit", (event) => {
    event.preventDefault();
    model.send({ do: "save", label: label.value.trim() });
  });

  function showBrush() {
    dot.style.setProperty("--width", `${brush.value}px`);
    model.set("brush", Number(brush.value));
    model.save_changes();
  }

  // --- The answer ------------------------------------------------------------------------------

  function showAnswer() {
    const answer = model.get("answer");
    const { digits = [], status = "empty" } = answer;
    if (answer.asked === asked && asked) {
      clearTimeout(timer);
      requestAnimationFrame(() => {
        const waited = Math.round(performance.now() - asked);
        root.dataset.milliseconds = waited;
        time.textContent = `Answered after ${waited} ms`;
      });
    }
    root.dataset.status = status;
    text.textContent = { "no-digit": "–", empty: "" }[status] ?? answer.text;
    state.textContent = {
      empty: "nothing drawn yet",
      ok: `sure: ${percent(answer.confidence)}`,
      unsure: `unsure: ${percent(answer.confidence)}`,
      "no-digit": "no digit",
    }[status] ?? status;
    note.textContent = status === "unsure"
      ? "Below the dotted line: a guess, not an answer" : answer.message ?? "";
    if (document.activeElement !== label) label.value = answer.text ?? "";
    if (chosen < 0 || chosen >= digits.length) chosen = drawnLast(digits);
    seen.replaceChildren(...digits.map(thumbnail));
    figures.hidden = digits.length === 0;
    showBars();
  }

  function drawnLast(digits) {
    // The digit that the last stroke lies nearest to.
    if (!digits.length) return 0;
    const last = strokes.at(-1) ?? [[0, 0]];
    const [x, y] = last[Math.floor(last.length / 2)];
    const distances = digits.map(({ box: [left, top, width, height] }) =>
      Math.hypot(x - left - width / 2, y - top - height / 2));
    return distances.indexOf(Math.min(...distances));
  }

  function thumbnail(digit, place) {
    const picture = make("canvas", { "aria-hidden": "true" });
    drawSeen(picture, digit.image);
    const read = digit.accepted ? `${digit.digit}` : `${digit.digit}?`;
    const name = `Digit ${place + 1}: ${read}, ${percent(digit.confidence)}`;
    const button = make(
      "button", { type: "button", "aria-label": name, title: name }, picture,
      make("span", {}, read),
    );
    button.addEventListener("click", () => {
      chosen = place;
      showBars();
      showParts();
    });
    return button;
  }

  function showBars() {
    const { digits = [], threshold = 1 } = model.get("answer");
    const digit = digits[chosen];
    for (const [place, button] of [...seen.children].entries()) {
      button.setAttribute("aria-pressed", place === chosen);
    }
    bars.style.setProperty("--threshold", percent(threshold).replace(" ", ""));
    bars.title = `The line at ${percent(threshold)} divides sure from unsure`;
    for (const [i, { row, fill, value }] of rows.entries()) {
      const share = digit ? digit.probabilities[i] : 0;
      fill.style.width = `${100 * share}%`;
      value.textContent = digit ? percent(share) : "";
      row.className = digit && digit.digit === i ? (digit.accepted ? "sure best" : "best") : "";
    }
  }

  function showParts() {
    const digit = (model.get("answer").digits ?? [])[chosen];
    const parts = model.get("parts").filter((part) => part.place === chosen);
    const pieces = parts.filter((part) => !part.whole);
    mattered.parentElement.hidden = !digit || pieces.length === 0;
    if (mattered.parentElement.hidden) return;
    drawParts(mattered, digit.box, pieces);
    const name = `the ${digit.digit}`;
    const without = ({ read, confidence }) =>
      confidence < 0.5 ? "no clear digit" : `${read}, ${percent(confidence)}`;
    const strongest = pieces.reduce((a, b) => (a.evidence > b.evidence ? a : b));
    let caption = "What mattered: each piece was left out in turn. ";
    caption += strongest.evidence > FAINT
      ? `The deeper the orange, the more it spoke for ${name}; without the strongest: ` +
        `${without(strongest)}.`
      : `None of them alone matters to ${name}.`;
    if (pieces.some((part) => part.evidence < -FAINT)) caption += " Blue, dotted: spoke against it.";
    for (const part of parts.filter((part) => part.whole)) {
      caption += ` Without stroke ${part.stroke + 1}: ${without(part)}.`;
    }
    matteredCaption.textContent = caption;
    mattered.setAttribute("aria-label", caption);
  }

  // --- What comes from the other side ----------------------------------------------------------

  function takeStrokes() {
    const theirs = model.get("strokes");
    if (JSON.stringify(theirs) === JSON.stringify(strokes)) return;
    strokes = theirs; // set by code, or drawn in another view of the same pad
    undone = [];
    redraw();
  }

  const listeners = {
    "change:strokes": takeStrokes,
    "change:answer": showAnswer,
    "change:parts": showParts,
    "change:said": () => { said.textContent = model.get("said"); },
  };
  for (const [name, listener] of Object.entries(listeners)) model.on(name, listener);
  const resizing = new ResizeObserver(() => { redraw(); showParts(); });
  resizing.observe(canvas);

  dot.style.setProperty("--width", `${brush.value}px`);
  redraw();
  showAnswer();
  showParts();

  return () => {
    clearTimeout(timer);
    resizing.disconnect();
    for (const [name, listener] of Object.entries(listeners)) model.off(name, listener);
  };
}

export default { render };
