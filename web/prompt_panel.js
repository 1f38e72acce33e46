// The form on Chibi Prompt Builder: attributes by group, colours, locks and dice, live prompt. Its value is the node's "form" JSON.
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { emptyForm, flatten, marked, matches, matchingOption, meter, readForm, rollAll, rollField, setField, toggleLock, valueLabel, writeForm } from "./prompt_form.mjs";

const TEXT = {
  en: {
    search: "Search", searchTip: "Search attributes and values", preset: "Preset…", save: "Save", saveTip: "Save this Character as a preset of yours", name: "Name of the preset",
    paste: "Paste", pasteTip: "Fill the form from a prompt or tagger output", pasteAsk: "Paste a prompt or a tagger's output", dice: "Roll everything chosen here that is not locked",
    clear: "Clear the form", lock: "Lock", roll: "Roll", unset: "Clear", none: "not set", noColor: "no color", pick: "Any color", positive: "Positive prompt", negative: "Negative prompt",
    tokens: "tokens", yours: "Yours", built: "Built in", read: "What was read", loading: "Loading…", chips: "What is known so far", nothing: "Nothing matches.",
  },
  zh: {
    search: "搜索", searchTip: "搜索属性和取值", preset: "预设…", save: "保存", saveTip: "把当前角色存为自己的预设", name: "预设名称",
    paste: "粘贴", pasteTip: "用提示词或打标结果填表", pasteAsk: "粘贴提示词或打标结果", dice: "随机所有已选且未锁定的项",
    clear: "清空表单", lock: "锁定", roll: "随机", unset: "清除", none: "未设定", noColor: "无颜色", pick: "任意颜色", positive: "正面提示词", negative: "负面提示词",
    tokens: "词元", yours: "我的", built: "内置", read: "读到的内容", loading: "加载中…", chips: "目前已知", nothing: "没有匹配项。",
  },
};
const PREVIEW_DELAY = 250;

function language() {
  const locale = String(app.extensionManager?.setting?.get?.("Comfy.Locale") ?? navigator.language);
  return locale.startsWith("zh") ? "zh" : "en";
}

let words = null;

/** The lexicon for the form, fetched once. */
function panelWords() {
  words ??= api.fetchApi("/chibi_avatar/prompt/words").then((reply) => {
    if (!reply.ok) throw new Error(`HTTP ${reply.status}`);
    return reply.json();
  });
  words.catch(() => (words = null));
  return words;
}

async function post(path, body) {
  const reply = await api.fetchApi(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const data = await reply.json();
  if (!reply.ok) throw new Error(data.error ?? `HTTP ${reply.status}`);
  return data;
}

function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key in made && key !== "list") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function addStyle() {
  const href = new URL("./prompt_panel.css", import.meta.url).href;
  if (!document.querySelector(`link[href="${href}"]`)) document.head.append(make("link", { rel: "stylesheet", href }));
}

/** A padlock, drawn: not every system has the emoji. */
function lockSign(locked) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("width", "13");
  svg.setAttribute("aria-hidden", "true");
  svg.innerHTML = `<path fill="none" stroke="currentColor" stroke-width="1.6" d="M5 7V5a3 3 0 0 1 6 0${locked ? "v2" : ""}"/><rect x="3" y="7" width="10" height="7" rx="1.5" fill="currentColor"/>`;
  return svg;
}

class PromptPanel {
  constructor(node) {
    addStyle();
    this.node = node;
    this.language = language();
    this.text = TEXT[this.language];
    this.form = emptyForm();
    this.loaded = null;
    this.group = "hair";
    this.palette = null;
    this.known = {};
    this.changed = () => {};
    this.root = make("div", { className: "chibi-prompt", role: "group", ariaLabel: "Chibi prompt form" });
    for (const type of ["wheel", "contextmenu", "pointerdown", "keydown", "keyup", "paste", "copy", "cut"]) {
      this.root.addEventListener(type, (event) => event.stopPropagation());
    }
    this.root.addEventListener("focusin", () => this.schedule());
    this.build();
    panelWords().then(
      (data) => {
        this.words = data;
        this.fields = new Map(data.groups.flatMap((group) => group.fields.map((field) => [field.path, field])));
        this.draw();
        this.loadPresets();
        this.schedule();
      },
      (error) => this.say(String(error.message ?? error)),
    );
  }

  build() {
    const t = this.text;
    this.search = make("input", { type: "search", placeholder: t.search, ariaLabel: t.searchTip, title: t.searchTip, oninput: () => this.drawFields() });
    this.presets = make("select", { ariaLabel: t.preset, onchange: () => this.usePreset() });
    this.bar = make(
      "div",
      { className: "chibi-prompt-bar" },
      this.search,
      this.presets,
      make("button", { type: "button", title: t.saveTip, onclick: () => this.savePreset() }, t.save),
      make("button", { type: "button", title: t.pasteTip, onclick: () => this.pastePrompt() }, t.paste),
      make("button", { type: "button", title: t.dice, ariaLabel: t.dice, onclick: () => this.rollAll() }, "⚄"),
      make("button", { type: "button", title: t.clear, ariaLabel: t.clear, onclick: () => this.update(emptyForm(), true) }, "✕"),
    );
    this.chips = make("div", { className: "chibi-prompt-chips", ariaLabel: t.chips });
    this.tabs = make("div", { className: "chibi-prompt-tabs", role: "tablist", onkeydown: (event) => this.tabKey(event) });
    this.rows = make("div", { className: "chibi-prompt-fields", role: "tabpanel" }, t.loading);
    this.out = make("div", { className: "chibi-prompt-out", ariaLive: "polite" });
    this.root.append(this.bar, this.tabs, this.rows, this.chips, this.out);
  }

  // -- value ---------------------------------------------------------------------------------------------------------

  /** Text that was only loaded is given back as it came: opening a workflow must not change it. */
  get value() {
    return this.loaded ?? writeForm(this.form);
  }

  set value(text) {
    this.loaded = typeof text === "string" ? text : null;
    this.form = readForm(text);
    this.draw();
    this.schedule();
  }

  update(form, redraw = false) {
    this.form = form;
    this.loaded = null;
    this.changed(this.value);
    if (redraw) this.draw();
    this.schedule();
  }

  set(path, value) {
    this.update(setField(this.form, path, value), true);
  }

  colorsOf(field) {
    return field.path === "skin.color" ? this.words.tones : this.words.colors;
  }

  rollAll() {
    if (this.words) this.update(rollAll(this.form, this.fields.values(), (field) => this.colorsOf(field)), true);
  }

  // -- drawing -------------------------------------------------------------------------------------------------------

  draw() {
    if (!this.words) return;
    const active = document.activeElement?.dataset?.key;
    this.drawTabs();
    this.drawFields();
    this.drawChips();
    this.rows.querySelector(".chibi-prompt-palette")?.scrollIntoView({ block: "nearest" });
    if (active && this.root.isConnected) this.root.querySelector(`[data-key="${CSS.escape(active)}"]`)?.focus();
  }

  drawTabs() {
    this.tabs.replaceChildren(
      ...this.words.groups.map((group) => {
        const on = group.id === this.group;
        return make("button", {
          type: "button", role: "tab", ariaSelected: String(on), tabIndex: on ? 0 : -1, "data-key": `tab ${group.id}`, textContent: group[this.language],
          onclick: () => this.openGroup(group.id),
        });
      }),
    );
  }

  openGroup(id) {
    this.group = id;
    this.search.value = "";
    this.palette = null;
    this.draw();
  }

  tabKey(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const ids = this.words.groups.map((group) => group.id);
    this.openGroup(ids[(ids.indexOf(this.group) + step + ids.length) % ids.length]);
    this.tabs.querySelector('[aria-selected="true"]')?.focus();
  }

  drawFields() {
    if (!this.words) return;
    const wanted = this.search.value;
    const fields = wanted.trim()
      ? [...this.fields.values()].filter((field) => matches(field, wanted)).slice(0, 30)
      : this.words.groups.find((group) => group.id === this.group).fields;
    this.rows.replaceChildren(...fields.flatMap((field) => this.row(field, wanted)));
    if (!fields.length) this.rows.textContent = this.text.nothing;
  }

  /** What the words say shows beside each field; not under somebody's hands. */
  refreshFields() {
    if (this.palette || this.rows.contains(document.activeElement)) return;
    const scrolled = this.rows.scrollTop;
    this.drawFields();
    this.rows.scrollTop = scrolled;
  }

  row(field, wanted) {
    const id = `chibi-${this.node.id}-${field.path}`;
    const label = make("label", { htmlFor: id, textContent: field[this.language] });
    const value = this.form.fields[field.path];
    const parts = [label, this.control(field, id, value, matchingOption(field, wanted)), this.tools(field, value)];
    if (this.palette === field.path) parts.push(this.swatches(field));
    return parts;
  }

  control(field, id, value, suggested) {
    if (field.type === "color") return this.colorControl(field, id, value);
    if (field.type === "number") {
      const shown = make("output", { textContent: value ?? "–" });
      return make("span", { className: "chibi-prompt-color" },
        make("input", { id, type: "range", min: field.low, max: field.high, step: 0.1, value: value ?? 2.5, "data-key": field.path,
          oninput: (event) => { shown.textContent = event.target.value; }, onchange: (event) => this.set(field.path, Number(event.target.value)) }),
        shown);
    }
    const known = this.known[field.path];
    const unset = known && known.source !== "widget" ? `${valueLabel(field, known.value, this.language)} ·` : this.text.none;
    const select = make("select", { id, "data-key": field.path });
    select.append(make("option", { value: "", textContent: unset }));
    const options = field.type === "flag"
      ? [{ id: "true", label: valueLabel(field, true, this.language) }, { id: "false", label: valueLabel(field, false, this.language) }]
      : (field.options ?? []).map((option) => ({ id: option.id, label: option[this.language] }));
    if (typeof value === "string" && !options.some((option) => option.id === value)) options.push({ id: value, label: value });
    for (const option of options) select.append(make("option", { value: option.id, textContent: option.label }));
    select.value = value === undefined ? "" : String(value);
    if (suggested && value === undefined) {
      select.options[0].textContent = `${this.text.none} — ${suggested[this.language]}?`;
    }
    select.addEventListener("change", () => {
      const chosen = select.value;
      this.set(field.path, chosen === "" ? null : field.type === "flag" ? chosen === "true" : chosen);
    });
    return select;
  }

  colorControl(field, id, value) {
    const known = value ?? (this.known[field.path]?.source === "widget" ? undefined : this.known[field.path]?.value);
    const hex = typeof known === "string" ? known : known?.hex;
    const open = this.palette === field.path;
    const button = make("button", { id, type: "button", "data-key": field.path, ariaExpanded: String(open),
      onclick: () => { this.palette = open ? null : field.path; this.draw(); } });
    if (hex) button.append(this.dot(hex));
    button.append(known ? valueLabel(field, typeof known === "string" ? { hex: known } : known, this.language) + (value ? "" : " ·") : this.text.noColor);
    const any = make("input", { type: "color", value: hex ?? "#888888", ariaLabel: `${field[this.language]}: ${this.text.pick}`, title: this.text.pick,
      onchange: (event) => this.set(field.path, { hex: event.target.value, name: "" }) });
    return make("span", { className: "chibi-prompt-color" }, button, any);
  }

  dot(hex) {
    const made = make("i", { className: "chibi-prompt-dot" });
    made.style.background = hex;
    return made;
  }

  swatches(field) {
    const current = this.form.fields[field.path];
    return make("div", { className: "chibi-prompt-palette", role: "listbox", ariaLabel: field[this.language],
      onkeydown: (event) => { if (event.key === "Escape") { this.palette = null; this.draw(); } } },
      ...this.colorsOf(field).map((color) => {
        const label = this.language === "zh" ? color.zh : color.name;
        const made = make("button", { type: "button", title: label, ariaLabel: label, role: "option", ariaSelected: String(current?.hex === color.hex), "data-color": color.name,
          onclick: () => { this.palette = null; this.set(field.path, { hex: color.hex, name: color.name }); } });
        made.style.background = color.hex;
        return made;
      }));
  }

  tools(field, value) {
    const t = this.text;
    const locked = this.form.locks.includes(field.path);
    const name = field[this.language];
    const tool = (sign, label, key, pressed, act) => make("button", { type: "button", title: label, ariaLabel: `${label}: ${name}`, "data-key": `${key} ${field.path}`,
      ...(pressed === null ? {} : { ariaPressed: String(pressed) }), onclick: act }, sign);
    return make("span", { className: "chibi-prompt-tools" },
      tool(lockSign(locked), t.lock, "lock", locked, () => this.update(toggleLock(this.form, field.path), true)),
      tool("⚄", t.roll, "roll", null, () => { if (!locked) this.set(field.path, rollField(field, this.colorsOf(field), value)); }),
      tool("✕", t.unset, "clear", null, () => this.set(field.path, null)));
  }

  drawChips() {
    const conflicts = new Set((this.shown?.conflicts ?? []).flatMap((item) => item.fields));
    this.chips.replaceChildren(
      ...Object.entries(this.known).filter(([path]) => this.fields.has(path)).map(([path, item]) => {
        const field = this.fields.get(path);
        const chip = make("button", { type: "button", className: "chibi-prompt-chip", "data-path": path, "data-source": item.source ?? "", "data-conflict": String(conflicts.has(path)),
          title: `${field[this.language]} (${item.source ?? ""})`, onclick: () => this.reveal(path) });
        if (item.value?.hex) chip.append(this.dot(item.value.hex));
        chip.append(`${field[this.language]}: ${valueLabel(field, item.value, this.language)}`);
        return chip;
      }),
    );
  }

  reveal(path) {
    const group = this.words.groups.find((item) => item.fields.some((field) => field.path === path));
    this.openGroup(group.id);
    this.root.querySelector(`[data-key="${CSS.escape(path)}"]`)?.focus();
  }

  // -- live preview --------------------------------------------------------------------------------------------------

  watch() {
    for (const widget of this.node.widgets ?? []) {
      if (widget.chibiWatched || widget === this.widget) continue;
      widget.chibiWatched = true;
      const before = widget.callback;
      widget.callback = (...values) => {
        const result = before?.apply(widget, values);
        this.schedule();
        return result;
      };
      widget.element?.addEventListener?.("input", () => this.schedule());
    }
  }

  schedule() {
    this.watch();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.preview(), PREVIEW_DELAY);
  }

  request() {
    const read = (name, fallback) => this.node.widgets?.find((widget) => widget.name === name)?.value ?? fallback;
    return { description: read("description", ""), family: read("family", "illustrious"), seed: Number(read("seed", 0)), variety: Number(read("variety", 0)),
      preset: read("preset", "none"), form: this.value };
  }

  async preview() {
    if (!this.words || this.gone) return;
    const turn = (this.turn = (this.turn ?? 0) + 1);
    try {
      const shown = await post("/chibi_avatar/prompt/preview", this.request());
      if (turn !== this.turn || this.gone) return;
      this.shown = shown;
      this.known = flatten(shown.character);
      this.refreshFields();
      this.drawChips();
      this.drawOut();
    } catch (error) {
      if (turn === this.turn) this.say(String(error.message ?? error));
    }
  }

  say(message) {
    this.out.replaceChildren(make("div", { className: "chibi-prompt-error", role: "alert", textContent: message }));
  }

  drawOut() {
    const { shown, text: t } = this;
    const meters = make("div", { className: "chibi-prompt-meters" },
      ...shown.tokens.chunks.map((chunk) => {
        const { share, tight } = meter(chunk, shown.tokens.limit);
        const bar = make("i");
        bar.style.width = `${share * 100}%`;
        const unlimited = chunk.left < 0;
        const label = unlimited ? `${chunk.used} ${t.tokens}` : `${chunk.used}/${shown.tokens.limit} ${t.tokens}`;
        return make("div", { className: `chibi-prompt-meter${tight && !unlimited ? " tight" : ""}`, role: "meter", ariaLabel: t.tokens, ariaValueNow: String(chunk.used), ariaValueMin: "0", ariaValueMax: String(shown.tokens.limit) },
          bar, make("span", { textContent: label }));
      }));
    const kinds = [["unknown", "unknown"], ["not_used", "blocked"], ["refused", "refused"]];
    const spans = kinds.flatMap(([key, kind]) => shown[key].map((span) => ({ ...span, kind })));
    const parts = [];
    if (spans.length) {
      parts.push(make("div", { className: "chibi-prompt-text chibi-prompt-read", ariaLabel: t.read, title: t.read },
        ...marked(shown.description, spans).map((piece) => {
          if (!piece.kind) return piece.text;
          return make(piece.kind === "refused" ? "s" : "u", { textContent: piece.text, "data-kind": piece.kind });
        })));
    }
    parts.push(...shown.conflicts.map((item) => make("div", { className: "chibi-prompt-conflict", textContent: `⚠ ${item[this.language]}` })));
    parts.push(meters, make("div", { className: "chibi-prompt-text positive", title: t.positive, ariaLabel: t.positive, textContent: shown.positive }));
    if (shown.negative) parts.push(make("div", { className: "chibi-prompt-text negative", title: t.negative, ariaLabel: t.negative, textContent: shown.negative }));
    this.out.replaceChildren(...parts);
  }

  // -- presets -------------------------------------------------------------------------------------------------------

  async loadPresets() {
    const reply = await api.fetchApi("/chibi_avatar/prompt/presets");
    if (!reply.ok) return;
    this.presetLists = await reply.json();
    const group = (label, items) => make("optgroup", { label }, ...items.map((item) => make("option", { value: `${label}\n${item.id}`, textContent: item[this.language] ?? item.id })));
    this.presets.replaceChildren(make("option", { value: "", textContent: this.text.preset }),
      group(this.text.built, this.presetLists.builtin), group(this.text.yours, this.presetLists.user.filter((item) => item.character)));
  }

  usePreset() {
    const [label, id] = this.presets.value.split("\n");
    this.presets.value = "";
    const list = label === this.text.yours ? this.presetLists.user : this.presetLists.builtin;
    const found = list.find((item) => item.id === id);
    if (found) this.fill(found.character);
  }

  /** Put a Character's fields into the form; locked fields stay. */
  fill(character) {
    let form = { ...this.form, fields: Object.fromEntries(Object.entries(this.form.fields).filter(([path]) => this.form.locks.includes(path))) };
    for (const [path, item] of Object.entries(flatten(character))) {
      if (!this.form.locks.includes(path)) form = setField(form, path, item.value);
    }
    this.update(form, true);
  }

  async savePreset() {
    const name = await app.extensionManager.dialog.prompt({ title: this.text.save, message: this.text.name, defaultValue: "" });
    if (!name || !this.shown) return;
    try {
      await post(`/chibi_avatar/prompt/presets/${encodeURIComponent(name)}`, this.shown.character);
      await this.loadPresets();
    } catch (error) {
      this.say(String(error.message ?? error));
    }
  }

  async pastePrompt() {
    const text = await app.extensionManager.dialog.prompt({ title: this.text.paste, message: this.text.pasteAsk, defaultValue: "" });
    if (!text) return;
    try {
      this.fill((await post("/chibi_avatar/prompt/read", { positive: text })).character);
    } catch (error) {
      this.say(String(error.message ?? error));
    }
  }

  remove() {
    this.gone = true;
    clearTimeout(this.timer);
  }
}

app.registerExtension({
  name: "chibi_avatar.prompt_panel",
  getCustomWidgets: () => ({
    CHIBI_PROMPT_PANEL(node, name) {
      const panel = new PromptPanel(node);
      const widget = node.addDOMWidget(name, "chibi_prompt_panel", panel.root, {
        getValue: () => panel.value,
        setValue: (value) => (panel.value = value),
        socketless: true,
        hideOnZoom: false,
        getMinHeight: () => 520,
      });
      panel.widget = widget;
      panel.changed = (value) => widget.callback?.(value);
      const removed = widget.onRemove;
      widget.onRemove = () => {
        removed?.call(widget);
        panel.remove();
      };
      return { widget, minWidth: 440, minHeight: 800 };
    },
  }),
});
