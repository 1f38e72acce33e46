// The prompt panel's logic without a page: the form's JSON, search, dice, underlined words. Tested with node:test.

export const VERSION = 1;

/** An empty form. */
export function emptyForm() {
  return { version: VERSION, fields: {}, locks: [], weights: {} };
}

/** Read the form's JSON text; anything else gives an empty form. */
export function readForm(text) {
  let data = null;
  try {
    data = typeof text === "string" ? JSON.parse(text || "{}") : text;
  } catch {
    return emptyForm();
  }
  if (!data || typeof data !== "object" || Array.isArray(data)) return emptyForm();
  const fields = data.fields && typeof data.fields === "object" && !Array.isArray(data.fields) ? { ...data.fields } : {};
  const weights = data.weights && typeof data.weights === "object" && !Array.isArray(data.weights) ? { ...data.weights } : {};
  const locks = Array.isArray(data.locks) ? data.locks.filter((path) => typeof path === "string") : [];
  return { version: VERSION, fields, locks: [...new Set(locks)].sort(), weights };
}

function sorted(object) {
  return Object.fromEntries(Object.keys(object).sort().map((key) => [key, object[key]]));
}

/** The form as text: the same choices always give the same text, no choice gives the node's own default. */
export function writeForm(form) {
  const chosen = Object.keys(form.fields).length + form.locks.length + Object.keys(form.weights).length;
  if (!chosen) return "{}";
  return JSON.stringify({
    version: VERSION,
    fields: sorted(form.fields),
    locks: [...form.locks].sort(),
    weights: sorted(form.weights),
  });
}

/** A copy with one field set, or cleared when `value` is null. */
export function setField(form, path, value) {
  const fields = { ...form.fields };
  if (value === null || value === undefined || value === "") delete fields[path];
  else fields[path] = value;
  return { ...form, fields };
}

/** A copy with the lock of one field turned over. */
export function toggleLock(form, path) {
  const locks = form.locks.includes(path) ? form.locks.filter((item) => item !== path) : [...form.locks, path].sort();
  return { ...form, locks };
}

/** A random value for a field, never the one it has. `random` gives numbers in [0, 1). */
export function rollField(field, colors, current, random = Math.random) {
  const choose = (list) => list[Math.min(list.length - 1, Math.floor(random() * list.length))];
  if (field.type === "color") {
    const others = colors.filter((color) => color.hex !== current?.hex);
    const color = choose(others.length ? others : colors);
    return { hex: color.hex, name: color.name };
  }
  if (field.type === "flag") return current !== true;
  if (field.type === "number") {
    const steps = Math.round((Math.min(field.high, 4) - field.low) / 0.1);
    return Math.round((field.low + Math.floor(random() * (steps + 1)) * 0.1) * 10) / 10;
  }
  const options = (field.options ?? []).filter((option) => option.id !== current && option.id !== "none");
  return options.length ? choose(options).id : null;
}

/** Roll every unlocked field that the form sets, or all of `paths`. */
export function rollAll(form, fields, palette, random = Math.random) {
  let out = form;
  for (const field of fields) {
    if (form.locks.includes(field.path) || !(field.path in form.fields)) continue;
    out = setField(out, field.path, rollField(field, palette(field), form.fields[field.path], random));
  }
  return out;
}

/** Does a field, or one of its options, match the search words? Empty words match everything. */
export function matches(field, words) {
  const wanted = words.trim().toLowerCase();
  if (!wanted) return true;
  const texts = [field.path, field.en, field.zh, ...(field.options ?? []).flatMap((option) => [option.id, option.en, option.zh])];
  return texts.some((text) => String(text).toLowerCase().includes(wanted));
}

/** The first option that matches the search words, if the field's own name does not. */
export function matchingOption(field, words) {
  const wanted = words.trim().toLowerCase();
  if (!wanted || [field.path, field.en, field.zh].some((text) => String(text).toLowerCase().includes(wanted))) return null;
  return (field.options ?? []).find((option) => [option.id, option.en, option.zh].some((text) => String(text).toLowerCase().includes(wanted))) ?? null;
}

/** Cut `text` (positions count code points) into pieces with the kind of span that covers each: "", unknown, blocked or refused. */
export function marked(text, spans) {
  const points = [...text];
  const kinds = new Array(points.length).fill("");
  for (const span of spans) {
    for (let i = Math.max(0, span.start); i < Math.min(points.length, span.end); i++) kinds[i] = span.kind;
  }
  const pieces = [];
  for (let i = 0; i < points.length; i++) {
    const last = pieces[pieces.length - 1];
    if (last && last.kind === kinds[i]) last.text += points[i];
    else pieces.push({ text: points[i], kind: kinds[i] });
  }
  return pieces;
}

/** Flatten a Character's JSON to `{path: {value, source}}`. */
export function flatten(character) {
  const out = {};
  for (const [group, value] of Object.entries(character ?? {})) {
    if (group === "chibi_character" || group === "evidence") continue;
    const isColor = value && typeof value === "object" && "hex" in value;
    if (value && typeof value === "object" && !Array.isArray(value) && !isColor) {
      for (const [leaf, item] of Object.entries(value)) out[`${group}.${leaf}`] = { value: item };
    } else {
      out[group] = { value };
    }
  }
  for (const [path, item] of Object.entries(character?.evidence ?? {})) if (out[path]) out[path].source = item.source;
  return out;
}

/** What to show for a field's value in a language. */
export function valueLabel(field, value, language) {
  if (value && typeof value === "object" && "hex" in value) return value.name || value.hex;
  if (value === true) return language === "zh" ? "有" : "yes";
  if (value === false) return language === "zh" ? "无" : "no";
  const option = (field?.options ?? []).find((item) => item.id === value);
  return option ? option[language] : String(value).replaceAll("_", " ");
}

/** How full a chunk is, 0 to 1, and whether it is worth a warning. */
export function meter(chunk, limit = 75) {
  const share = limit > 0 ? Math.min(1, chunk.used / limit) : 0;
  return { share, tight: chunk.left <= 5 };
}
