// Geometry of a 2D pose: no DOM here, so that Node can test it against the same vectors as the Python side
// (chibi_avatar/pose/skeleton.py and retarget.py; tests/data/pose_vectors.json).

export const NAMES = ["nose", "neck", "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow", "left wrist",
  "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle", "right eye", "left eye", "right ear", "left ear"];
export const LIMBS = [[1, 2], [1, 5], [2, 3], [3, 4], [5, 6], [6, 7], [1, 8], [8, 9], [9, 10], [1, 11], [11, 12], [12, 13],
  [1, 0], [0, 14], [14, 16], [0, 15], [15, 17]];
export const COLORS = ["#ff0000", "#ff5500", "#ffaa00", "#ffff00", "#aaff00", "#55ff00", "#00ff00", "#00ff55", "#00ffaa", "#00ffff",
  "#00aaff", "#0055ff", "#0000ff", "#5500ff", "#aa00ff", "#ff00ff", "#ff00aa", "#ff0055"];
export const FINGERS = Array.from({ length: 20 }, (_, i) => [i % 4 === 0 ? 0 : i, i + 1]);
export const KEYS = { body: "pose_keypoints_2d", face: "face_keypoints_2d", leftHand: "hand_left_keypoints_2d",
  rightHand: "hand_right_keypoints_2d", feet: "foot_keypoints_2d" };
export const COUNTS = { body: 18, face: 70, leftHand: 21, rightHand: 21, feet: 6 };
const PARENT = [1, -1, 1, 2, 3, 1, 5, 6, 1, 8, 9, 1, 11, 12, 0, 0, 14, 15];
const MIRRORED = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16];
const ARMS_AND_LEGS = { 4: [2, 3], 7: [5, 6], 10: [8, 9], 13: [11, 12] };

// ---------------------------------------------------------------------------------------------- canonical proportions

export const MIN_HEADS = 1.8;
export const MAX_HEADS = 7;
const AT = [1.8, 2.0, 2.5, 3.0, 4.0, 7.0];
const TABLE = {
  shoulderX: [0.172, 0.1875, 0.225, 0.255, 0.3075, 0.76],
  shoulderY: [0.695, 0.875, 1.32, 1.7675, 2.67, 5.68],
  hipX: [0.098, 0.1075, 0.13, 0.1475, 0.1775, 0.40],
  hipY: [0.318, 0.41, 0.655, 0.9125, 1.4525, 3.60],
  kneeY: [0.205, 0.25, 0.38, 0.5125, 0.79, 1.98],
  ankleY: [0.092, 0.1025, 0.125, 0.145, 0.1775, 0.30],
  upperArm: [0.132, 0.16, 0.23, 0.30, 0.43, 1.22],
  foreArm: [0.115, 0.1375, 0.20, 0.2575, 0.3725, 1.06],
  hand: [0.150, 0.17, 0.21, 0.25, 0.32, 0.74],
  foot: [0.120, 0.135, 0.165, 0.19, 0.24, 0.72],
  eyeX: [0.235, 0.235, 0.2325, 0.228, 0.215, 0.14],
  earX: [0.57, 0.57, 0.565, 0.555, 0.53, 0.36],
  noseDown: [0.73, 0.73, 0.725, 0.72, 0.71, 0.67],
};

const FACE_Z = 0.42;

function interpolate(x, xs, ys) {
  if (x <= xs[0]) return ys[0];
  for (let i = 1; i < xs.length; i++) {
    if (x <= xs[i]) return ys[i - 1] + ((ys[i] - ys[i - 1]) * (x - xs[i - 1])) / (xs[i] - xs[i - 1]);
  }
  return ys[ys.length - 1];
}

/** Lengths of the canonical figure of `heads` heads, in head heights. */
export function proportions(heads) {
  const h = Math.min(Math.max(heads, MIN_HEADS), MAX_HEADS);
  return { heads: h, ...Object.fromEntries(Object.entries(TABLE).map(([name, row]) => [name, interpolate(h, AT, row)])) };
}

/** The bones of retarget.py, parents first, and their canonical lengths; then the spans of ears and eyes. */
export const BONES = [[1, 2], [1, 5], [2, 3], [3, 4], [5, 6], [6, 7], [1, 8], [1, 11], [8, 9], [9, 10], [11, 12], [12, 13], [1, 0]];

export function canonicalLengths(heads) {
  const p = proportions(heads);
  const hip = Math.hypot(p.hipX, p.shoulderY - p.hipY);
  const arm = [p.upperArm, p.foreArm];
  const leg = [p.hipY - p.kneeY, p.kneeY - p.ankleY];
  return [p.shoulderX, p.shoulderX, ...arm, ...arm, hip, hip, ...leg, ...leg, p.heads - p.noseDown - p.shoulderY, 2 * p.earX, 2 * p.eyeX];
}

// ---------------------------------------------------------------------------------------------- people

/** A person as {body, face, leftHand, rightHand, feet: [[x, y, score], …] or null, tag}. */
export function readPerson(source) {
  const out = { tag: source.chibi && typeof source.chibi === "object" ? { ...source.chibi } : {} };
  for (const [part, key] of Object.entries(KEYS)) {
    const flat = source[key];
    out[part] = null;
    if (Array.isArray(flat) && flat.length === COUNTS[part] * 3 && flat.every((v) => typeof v === "number" && Number.isFinite(v))) {
      const points = Array.from({ length: COUNTS[part] }, (_, i) => flat.slice(3 * i, 3 * i + 3));
      if (part === "body" || points.some((p) => p[2] > 0)) out[part] = points;
    }
  }
  if (!out.body) throw new Error(`${KEYS.body}: expected ${COUNTS.body * 3} numbers`);
  return out;
}

const rounded = (v) => Math.round(v * 100) / 100;

export function writePerson(person) {
  const out = {};
  for (const [part, key] of Object.entries(KEYS)) {
    const points = person[part];
    if (points) out[key] = points.flatMap((p) => (p[2] > 0 ? [rounded(p[0]), rounded(p[1]), rounded(p[2])] : [0, 0, 0]));
    else if (part !== "feet") out[key] = new Array(COUNTS[part] * 3).fill(0);
  }
  if (Object.keys(person.tag).length) out.chibi = person.tag;
  return out;
}

/** The document that the editor edits, from pose JSON text. Throws an Error that names the field. */
export function readPose(text) {
  const value = typeof text === "string" ? JSON.parse(text) : text;
  const frames = Array.isArray(value) ? value : [value];
  if (!frames.length) throw new Error("the pose has no frames");
  return frames.map((frame, index) => {
    if (!frame || !Array.isArray(frame.people)) throw new Error(`frame ${index}: there is no 'people' list in it`);
    const width = Number(frame.canvas_width), height = Number(frame.canvas_height);
    if (!(width >= 1 && height >= 1)) throw new Error(`frame ${index}: canvas_width and canvas_height are missing`);
    return { width, height, people: frame.people.map(readPerson) };
  });
}

export function writePose(frames) {
  return JSON.stringify(frames.map((f) => ({ people: f.people.map(writePerson), canvas_width: f.width, canvas_height: f.height })));
}

export const copyFrames = (frames) => structuredClone(frames);
const there = (point) => Boolean(point) && point[2] > 0;
const parts = (person) => Object.keys(KEYS).map((k) => person[k]).filter(Boolean);

function transform(points, from, to, angle, scale = 1) {
  const c = Math.cos(angle) * scale, s = Math.sin(angle) * scale;
  for (const p of points) {
    if (!there(p)) continue;
    const x = p[0] - from[0], y = p[1] - from[1];
    p[0] = to[0] + c * x - s * y;
    p[1] = to[1] + s * x + c * y;
  }
}

/** Body joints that hang on `joint`, itself included. */
export function branch(joint) {
  return PARENT.map((_, j) => j).filter((j) => {
    for (let k = j; k >= 0; k = PARENT[k]) if (k === joint) return true;
    return false;
  });
}

/** Everything that moves with a body joint: points of the body, hands, feet and face. */
function carried(person, joint) {
  const joints = branch(joint);
  const out = joints.map((j) => person.body[j]);
  if (joints.includes(4) && person.rightHand) out.push(...person.rightHand);
  if (joints.includes(7) && person.leftHand) out.push(...person.leftHand);
  if (person.feet && joints.includes(13)) out.push(...person.feet.slice(0, 3));
  if (person.feet && joints.includes(10)) out.push(...person.feet.slice(3));
  if (person.face && joints.includes(0)) out.push(...person.face);
  return out;
}

export function movePerson(person, dx, dy) {
  for (const points of parts(person)) transform(points, [0, 0], [dx, dy], 0);
}

/** Turn the branch at `joint` about its parent towards (x, y). The length stays, or with `free` follows the pointer. */
export function turnJoint(person, joint, x, y, free = false) {
  const parent = PARENT[joint];
  const root = parent >= 0 ? person.body[parent] : null;
  const point = person.body[joint];
  if (!there(root)) {
    movePerson(person, x - point[0], y - point[1]);
    return;
  }
  const before = [point[0] - root[0], point[1] - root[1]];
  const after = [x - root[0], y - root[1]];
  const long = Math.hypot(...before), wanted = Math.hypot(...after);
  if (wanted < 1e-6) return;
  if (long < 1e-6) {
    transform(carried(person, joint), point, [x, y], 0);
    return;
  }
  const angle = Math.atan2(after[1], after[0]) - Math.atan2(before[1], before[0]);
  const length = free ? wanted : long;
  const to = [root[0] + (after[0] / wanted) * length, root[1] + (after[1] / wanted) * length];
  transform(carried(person, joint), [point[0], point[1]], to, angle);
}

/** Two-bone inverse kinematics for a wrist or ankle: lengths stay, the bend keeps its side. Other joints turn about their parent. */
export function reachJoint(person, joint, x, y) {
  const chain = ARMS_AND_LEGS[joint];
  if (!chain || !chain.every((j) => there(person.body[j]))) {
    turnJoint(person, joint, x, y);
    return;
  }
  const [root, middle, end] = [person.body[chain[0]], person.body[chain[1]], person.body[joint]];
  const a = Math.hypot(middle[0] - root[0], middle[1] - root[1]), b = Math.hypot(end[0] - middle[0], end[1] - middle[1]);
  const side = (middle[0] - root[0]) * (end[1] - root[1]) - (middle[1] - root[1]) * (end[0] - root[0]) > 0 ? -1 : 1;
  let d = Math.hypot(x - root[0], y - root[1]);
  if (d < 1e-6 || a < 1e-6 || b < 1e-6) return;
  const way = [(x - root[0]) / d, (y - root[1]) / d];
  d = Math.min(Math.max(d, Math.abs(a - b) + 1e-6), a + b);
  const along = (a * a - b * b + d * d) / (2 * d);
  const out = Math.sqrt(Math.max(a * a - along * along, 0)) * side;
  turnJoint(person, chain[1], root[0] + way[0] * along - way[1] * out, root[1] + way[1] * along + way[0] * out);
  turnJoint(person, joint, root[0] + way[0] * d, root[1] + way[1] * d);
}

/** Move one joint alone; a wrist takes its hand along. */
export function placeJoint(person, joint, x, y) {
  const point = person.body[joint];
  const dx = x - point[0], dy = y - point[1];
  const moved = [point];
  if (joint === 4 && person.rightHand) moved.push(...person.rightHand);
  if (joint === 7 && person.leftHand) moved.push(...person.leftHand);
  if (joint === 13 && person.feet) moved.push(...person.feet.slice(0, 3));
  if (joint === 10 && person.feet) moved.push(...person.feet.slice(3));
  if (joint === 0 && person.face) moved.push(...person.face);
  transform(moved, [0, 0], [dx, dy], 0);
}

/** A finger joint turns the rest of its finger; the wrist point turns the hand. */
export function turnFinger(hand, index, x, y) {
  if (index === 0) {
    transform(hand, [0, 0], [x - hand[0][0], y - hand[0][1]], 0);
    return;
  }
  const first = index - ((index - 1) % 4);
  const root = index === first ? hand[0] : hand[index - 1];
  const rest = hand.slice(index, first + 4);
  const before = [hand[index][0] - root[0], hand[index][1] - root[1]];
  const after = [x - root[0], y - root[1]];
  const long = Math.hypot(...before), wanted = Math.hypot(...after);
  if (wanted < 1e-6 || long < 1e-6) return;
  const to = [root[0] + (after[0] / wanted) * long, root[1] + (after[1] / wanted) * long];
  transform(rest, [hand[index][0], hand[index][1]], to, Math.atan2(after[1], after[0]) - Math.atan2(before[1], before[0]));
}

/** Exchange left and right about the vertical middle of the canvas (or of the person). */
export function mirrorPerson(person, width) {
  for (const points of parts(person)) for (const p of points) if (there(p)) p[0] = width - p[0];
  person.body = MIRRORED.map((j) => person.body[j]);
  [person.leftHand, person.rightHand] = [person.rightHand, person.leftHand];
  if (person.feet) person.feet = [...person.feet.slice(3), ...person.feet.slice(0, 3)];
  if (person.face) {
    const f = person.face;
    const pairs = [];
    for (let i = 0; i < 8; i++) pairs.push([i, 16 - i]);
    for (let i = 0; i < 5; i++) pairs.push([17 + i, 26 - i]);
    pairs.push([31, 35], [32, 34], [36, 45], [37, 44], [38, 43], [39, 42], [40, 47], [41, 46], [48, 54], [49, 53], [50, 52], [55, 59],
      [56, 58], [60, 64], [61, 63], [65, 67], [68, 69]);
    for (const [a, b] of pairs) [f[a], f[b]] = [f[b], f[a]];
  }
}

/** The build of a person, from its tag or from its longest lengths. */
export function buildOf(person, assumed = 7) {
  const { heads, unit } = person.tag;
  if (heads >= MIN_HEADS && heads <= MAX_HEADS && unit > 0) return { heads, unit };
  const b = person.body;
  const canon = canonicalLengths(assumed);
  const ratios = BONES.slice(0, 12).map(([i, j], k) => (there(b[i]) && there(b[j]) ? Math.hypot(b[j][0] - b[i][0], b[j][1] - b[i][1]) / canon[k] : 0));
  const seen = ratios.filter((r) => r > 0).sort((x, y) => y - x);
  return seen.length ? { heads: assumed, unit: seen[Math.floor(seen.length / 5)] } : null;
}

/** The person with the proportions of `heads` heads and the same standing height (retarget.py without contacts and fitting). */
export function reproportion(person, heads, build = buildOf(person)) {
  if (!build) return person;
  const out = structuredClone(person);
  const src = canonicalLengths(build.heads).map((v) => v * build.unit);
  const unit = (build.unit * build.heads) / heads;
  const dst = canonicalLengths(heads).map((v) => v * unit);
  const old = person.body, body = out.body;
  const placed = new Set([1]);
  if (!there(old[1])) return person;
  BONES.forEach(([a, b], k) => {
    if (!there(old[a]) || !there(old[b]) || !placed.has(a)) return;
    const step = [old[b][0] - old[a][0], old[b][1] - old[a][1]];
    const was = Math.hypot(...step);
    const seen = Math.min(was / src[k], k === 12 ? 1.15 : 1);
    const length = was > 0 ? (dst[k] * seen) / was : 0;
    body[b][0] = body[a][0] + step[0] * length;
    body[b][1] = body[a][1] + step[1] * length;
    placed.add(b);
  });
  const head = dst[13] / src[13];
  const similar = (points, pin, scale) => transform(points, [old[pin][0], old[pin][1]], [body[pin][0], body[pin][1]], 0, scale);
  if (there(old[0])) similar([14, 15, 16, 17].map((j) => body[j]), 0, head);
  const s = proportions(build.heads), t = proportions(heads);
  const hand = (t.hand * unit) / (s.hand * build.unit), foot = (t.foot * unit) / (s.foot * build.unit);
  if (out.leftHand && there(old[7])) similar(out.leftHand, 7, hand);
  if (out.rightHand && there(old[4])) similar(out.rightHand, 4, hand);
  if (out.feet && there(old[13])) similar(out.feet.slice(0, 3), 13, foot);
  if (out.feet && there(old[10])) similar(out.feet.slice(3), 10, foot);
  if (out.face && there(old[0])) similar(out.face, 0, head);
  const middle = (p) => {
    const hips = [8, 11].filter((j) => there(p.body[j]));
    return hips.length ? hips.reduce((sum, j) => sum + p.body[j][0], 0) / hips.length : p.body[1][0];
  };
  movePerson(out, middle(person) - middle(out), groundShift(person, out));
  const { preset, azimuth, mirrored } = person.tag;
  out.tag = { heads: Math.round(heads * 1e4) / 1e4, unit: Math.round(unit * 1e6) / 1e6 };
  if (preset !== undefined) Object.assign(out.tag, { preset, azimuth, mirrored });
  return out;
}

const SINK = 1;

/** How far `after` has to go down to stand, sit or lie on the ground as `before` does (retarget.py, _grounded). */
function groundShift(before, after) {
  const feet = [10, 13].some((j) => there(before.body[j]));
  const legs = [9, 12].filter((j) => there(before.body[j]));
  const joints = feet ? before.body.keys() : legs.length ? legs : [8, 11].filter((j) => there(before.body[j]));
  const pairs = Array.from(joints, (j) => [before.body[j], after.body[j]]);
  if (feet) for (const part of ["feet", "leftHand", "rightHand"]) before[part]?.forEach((p, i) => pairs.push([p, after[part][i]]));
  const seen = pairs.filter(([was]) => there(was));
  if (!seen.length) return 0;
  const ground = Math.max(...seen.map(([was]) => was[1]));
  return ground - Math.max(...seen.map(([was, now]) => now[1] - SINK * (ground - was[1])));
}

/** Where the head is and half its size (silhouette.py): from the ears, or from one ear and the nose. */
export function skull(person) {
  const build = buildOf(person);
  const { body } = person;
  const ears = [16, 17].filter((j) => there(body[j])).map((j) => body[j]);
  if (!build || !there(body[1]) || !ears.length) return null;
  const p = proportions(build.heads);
  let middle;
  if (ears.length === 2) middle = [(ears[0][0] + ears[1][0]) / 2, (ears[0][1] + ears[1][1]) / 2];
  else if (there(body[0])) {
    const turn = ((person.tag.azimuth ?? 0) * Math.PI) / 180;
    const nose = Math.abs(Math.sin(turn)) * FACE_Z, ear = Math.abs(Math.cos(turn)) * p.earX;
    const share = nose / Math.max(nose + ear, 1e-9);
    middle = [0, 1].map((k) => body[0][k] + (ears[0][k] - body[0][k]) * share);
  } else middle = ears[0];
  const up = [middle[0] - body[1][0], middle[1] - body[1][1]];
  const rise = (0.11 * build.unit) / Math.max(Math.hypot(...up), 1e-9);
  return { x: middle[0] + up[0] * rise, y: middle[1] + up[1] * rise, wide: 0.98 * p.earX * build.unit, tall: 0.52 * build.unit };
}

/** Give missing joints of the body a place: as on the other side, mirrored, or hanging down from their parent. */
export function restorePoints(person) {
  const build = buildOf(person);
  if (!build || !there(person.body[1])) return;
  const canon = canonicalLengths(build.heads), { body } = person;
  BONES.forEach(([a, b], k) => {
    if (there(body[b]) || !there(body[a])) return;
    const [c, d] = [body[MIRRORED[a]], body[MIRRORED[b]]];
    const out = MIRRORED[b] === b ? 0 : [2, 3, 4, 8, 9, 10].includes(b) ? -1 : 1;
    const hanging = b === 0 ? [0, -1] : a === 1 && (b === 2 || b === 5) ? [out, 0] : [0.2 * out, 1];
    let step = hanging.map((v) => (v * canon[k] * build.unit) / Math.hypot(...hanging));
    if (b !== MIRRORED[b] && there(c) && there(d)) step = [c[0] - d[0], d[1] - c[1]];
    body[b] = [body[a][0] + step[0], body[a][1] + step[1], 1];
  });
  const p = proportions(build.heads);
  for (const [j, x, down] of [[14, -p.eyeX, p.noseDown - 0.15], [15, p.eyeX, p.noseDown - 0.15], [16, -p.earX, p.noseDown - 0.1], [17, p.earX, p.noseDown - 0.1]]) {
    if (there(body[j]) || !there(body[0])) continue;
    const other = body[MIRRORED[j]];
    body[j] = there(other)
      ? [2 * body[0][0] - other[0], other[1], 1]
      : [body[0][0] + x * build.unit, body[0][1] - (p.noseDown - down) * build.unit, 1];
  }
}

/** Another canvas size: people are scaled by the smaller ratio about the middle of the lower edge. */
export function resizeCanvas(frame, width, height) {
  const scale = Math.min(width / frame.width, height / frame.height);
  for (const person of frame.people) {
    for (const points of parts(person)) transform(points, [frame.width / 2, frame.height], [width / 2, height], 0, scale);
    if (person.tag.unit > 0) person.tag = { ...person.tag, unit: Math.round(person.tag.unit * scale * 1e6) / 1e6 };
  }
  Object.assign(frame, { width, height });
}

/** What an edit by hand leaves true of a person: its build, but no longer which preset it is. */
export function edited(person) {
  const { heads, unit } = person.tag;
  person.tag = heads && unit ? { heads, unit } : {};
}
