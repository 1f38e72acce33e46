import assert from "node:assert/strict";
import { test } from "node:test";
import { emptyForm, flatten, marked, matches, matchingOption, meter, readForm, rollAll, rollField, setField, toggleLock, valueLabel, writeForm } from "../../web/prompt_form.mjs";

const STYLE = { path: "hair.style", type: "kind", en: "hair style", zh: "发型", options: [{ id: "bob", en: "bob", zh: "波波头" }, { id: "bun", en: "bun", zh: "丸子头" }] };
const COLOR = { path: "hair.color", type: "color", en: "hair color", zh: "发色" };
const COLORS = [{ name: "red", hex: "#ff0000" }, { name: "blue", hex: "#0000ff" }];

test("a form survives writing and reading, in any order of keys", () => {
  const form = setField(setField(toggleLock(emptyForm(), "eyes.color"), "hair.style", "bob"), "eyes.color", { hex: "#00ff00", name: "green" });
  assert.deepEqual(readForm(writeForm(form)), form);
  const other = setField(setField(toggleLock(emptyForm(), "eyes.color"), "eyes.color", { hex: "#00ff00", name: "green" }), "hair.style", "bob");
  assert.equal(writeForm(other), writeForm(form));
});

test("a form with nothing chosen is the node's own default text", () => {
  assert.equal(writeForm(emptyForm()), "{}");
  assert.equal(writeForm(toggleLock(toggleLock(emptyForm(), "hair.style"), "hair.style")), "{}");
});

test("broken text gives an empty form, never an exception", () => {
  for (const text of ["", "{", "[]", "null", "3", '{"fields": []}', '{"locks": {"a": 1}}', undefined]) assert.deepEqual(readForm(text), emptyForm());
});

test("clearing a field and turning a lock twice leaves nothing behind", () => {
  const form = setField(setField(emptyForm(), "hair.style", "bob"), "hair.style", null);
  assert.deepEqual(toggleLock(toggleLock(form, "hair.style"), "hair.style"), emptyForm());
});

test("dice never repeat the value and stay inside the options", () => {
  for (let i = 0; i < 20; i++) {
    assert.equal(rollField(STYLE, COLORS, "bob", () => i / 20), "bun");
    assert.equal(rollField(COLOR, COLORS, COLORS[0], () => i / 20).name, "blue");
    const heads = rollField({ path: "proportions.heads", type: "number", low: 1.8, high: 7 }, COLORS, 2, () => i / 20);
    assert.ok(heads >= 1.8 && heads <= 4);
  }
  assert.equal(rollField({ type: "flag" }, COLORS, true), false);
});

test("rolling everything leaves locked and unset fields alone", () => {
  const form = toggleLock(setField(setField(emptyForm(), "hair.style", "bob"), "hair.color", COLORS[0]), "hair.color");
  const rolled = rollAll(form, [STYLE, COLOR, { ...STYLE, path: "hat.kind" }], () => COLORS, () => 0);
  assert.equal(rolled.fields["hair.style"], "bun");
  assert.deepEqual(rolled.fields["hair.color"], COLORS[0]);
  assert.ok(!("hat.kind" in rolled.fields));
});

test("search finds fields by either language and by their values", () => {
  assert.ok(matches(STYLE, "") && matches(STYLE, "发型") && matches(STYLE, "HAIR") && matches(STYLE, "丸子"));
  assert.ok(!matches(STYLE, "wings"));
  assert.equal(matchingOption(STYLE, "丸子").id, "bun");
  assert.equal(matchingOption(STYLE, "hair"), null);
});

test("unknown words are marked at their place, also behind emoji", () => {
  const pieces = marked("😀 a wug, no hat", [{ start: 4, end: 7, kind: "unknown" }, { start: 9, end: 15, kind: "refused" }]);
  assert.deepEqual(pieces.map((piece) => [piece.text, piece.kind]), [["😀 a ", ""], ["wug", "unknown"], [", ", ""], ["no hat", "refused"]]);
});

test("a Character's JSON becomes fields with their sources", () => {
  const flat = flatten({ chibi_character: 1, presentation: "feminine", hair: { color: { hex: "#fff000", name: "yellow" } }, evidence: { "hair.color": { source: "words" } } });
  assert.deepEqual(flat, { presentation: { value: "feminine" }, "hair.color": { value: { hex: "#fff000", name: "yellow" }, source: "words" } });
});

test("labels and meters", () => {
  assert.equal(valueLabel(STYLE, "bun", "zh"), "丸子头");
  assert.equal(valueLabel(undefined, "cat_ears", "en"), "cat ears");
  assert.equal(valueLabel(COLOR, { hex: "#123456", name: "" }, "en"), "#123456");
  assert.deepEqual(meter({ used: 72, left: 3 }), { share: 0.96, tight: true });
});
