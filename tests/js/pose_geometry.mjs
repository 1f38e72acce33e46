// Unit tests of web/pose/geometry.mjs; run by tests/unit/pose/test_geometry_module.py with node's own test runner.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import * as g from "../../web/pose/geometry.mjs";

const golden = JSON.parse(readFileSync(new URL("../data/pose_vectors.json", import.meta.url)));
const standing = () => g.readPose(golden.poses[0].before)[0].people[0];
const far = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);

test("canonical lengths are the retargeter's", () => {
  for (const [heads, lengths] of Object.entries(golden.lengths)) {
    g.canonicalLengths(Number(heads)).forEach((v, i) => assert.ok(Math.abs(v - lengths[i]) < 1e-8));
  }
});

test("changing the proportions gives the retargeter's pose", () => {
  for (const { name, heads, before, after } of golden.poses) {
    const made = g.reproportion(g.readPose(before)[0].people[0], heads);
    const wanted = g.readPose(after)[0].people[0];
    for (const part of Object.keys(g.KEYS)) {
      made[part]?.forEach((p, i) => {
        assert.equal(p[2] > 0, wanted[part][i][2] > 0);
        if (p[2] > 0) assert.ok(far(p, wanted[part][i]) < 0.05, `${name} ${part} ${i}: ${p} ${wanted[part][i]}`);
      });
    }
  }
});

test("reading and writing loses nothing", () => {
  const text = JSON.stringify([golden.poses[1].before]);
  const frames = g.readPose(text);
  const again = g.readPose(g.writePose(frames));
  frames[0].people[0].body.forEach((p, i) => assert.ok(far(p, again[0].people[0].body[i]) <= 0.5));
  assert.deepEqual(again[0].people[0].tag, frames[0].people[0].tag);
});

test("turning an elbow keeps lengths and carries the hand", () => {
  const p = standing(), q = structuredClone(p);
  g.turnJoint(q, 6, q.body[6][0] + 40, q.body[6][1] - 90);
  for (const [a, b] of [[5, 6], [6, 7]]) assert.ok(Math.abs(far(p.body[a], p.body[b]) - far(q.body[a], q.body[b])) < 1e-9);
  assert.ok(Math.abs(far(p.body[7], p.leftHand[12]) - far(q.body[7], q.leftHand[12])) < 1e-9);
  assert.deepEqual(p.body[4], q.body[4]);
});

test("reaching puts the wrist at the target and keeps the bend's side", () => {
  const p = standing(), q = structuredClone(p);
  const target = [q.body[5][0] + 30, q.body[5][1] + 25];
  g.reachJoint(q, 7, ...target);
  assert.ok(far(q.body[7], target) < 1e-6);
  for (const [a, b] of [[5, 6], [6, 7]]) assert.ok(Math.abs(far(p.body[a], p.body[b]) - far(q.body[a], q.body[b])) < 1e-6);
  const side = (r) => Math.sign((r.body[6][0] - r.body[5][0]) * (r.body[7][1] - r.body[5][1]) - (r.body[6][1] - r.body[5][1]) * (r.body[7][0] - r.body[5][0]));
  assert.equal(side(p), side(q));
});

test("mirroring twice is the pose itself, once exchanges the sides", () => {
  const p = standing(), q = structuredClone(p);
  g.mirrorPerson(q, 768);
  assert.ok(Math.abs(q.body[2][0] - (768 - p.body[5][0])) < 1e-9);
  g.mirrorPerson(q, 768);
  for (const part of Object.keys(g.KEYS)) q[part]?.forEach((point, i) => assert.ok(far(point, p[part][i]) < 1e-9));
});

test("missing points stay missing", () => {
  const p = standing();
  p.body[6] = [0, 0, 0];
  g.reachJoint(p, 7, 10, 10);
  g.mirrorPerson(p, 768);
  g.movePerson(p, 5, 5);
  assert.deepEqual(g.reproportion(p, 3).body[3], [0, 0, 0]);
});

test("hidden points come back: mirrored, or hanging, at their canonical length", () => {
  const p = standing(), q = structuredClone(p);
  for (const j of [6, 7, 15, 17]) q.body[j] = [0, 0, 0];
  g.restorePoints(q);
  assert.ok(q.body.every((point) => point[2] > 0));
  for (const [a, b, c, d] of [[5, 6, 2, 3], [6, 7, 3, 4]]) assert.ok(Math.abs(far(q.body[a], q.body[b]) - far(p.body[c], p.body[d])) < 1e-9);
  for (const j of [2, 3, 4, 5, 6, 7]) q.body[j] = [0, 0, 0];
  g.restorePoints(q);
  const canon = g.canonicalLengths(q.tag.heads);
  assert.ok(Math.abs(far(q.body[6], q.body[7]) - canon[5] * q.tag.unit) < 1e-6);
  assert.deepEqual(q.body[13], p.body[13]);
});

test("another canvas keeps the figure's shape and its place at the lower edge", () => {
  const frame = g.readPose(golden.poses[0].before)[0], was = structuredClone(frame);
  g.resizeCanvas(frame, 1536, 960);
  const k = 960 / was.height, [p, q] = [was.people[0], frame.people[0]];
  assert.ok(far(q.body[0], [768 + (p.body[0][0] - was.width / 2) * k, 960 + (p.body[0][1] - was.height) * k]) < 1e-9);
  assert.ok(Math.abs(q.tag.unit - p.tag.unit * k) < 1e-5);
});

test("the head is about the ears and as large as the build says", () => {
  const p = standing(), at = g.skull(p);
  assert.ok(Math.abs(at.tall - 0.52 * p.tag.unit) < 1e-9);
  assert.ok(Math.abs(at.x - (p.body[16][0] + p.body[17][0]) / 2) < 0.1 * p.tag.unit);
  p.body[16] = p.body[17] = [0, 0, 0];
  assert.equal(g.skull(p), null);
});

test("bad documents are refused by name", () => {
  assert.throws(() => g.readPose("{"), SyntaxError);
  assert.throws(() => g.readPose("{}"), /people/);
  assert.throws(() => g.readPose('{"people": [{}], "canvas_width": 9, "canvas_height": 9}'), /pose_keypoints_2d/);
});
