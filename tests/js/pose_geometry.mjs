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

test("bad documents are refused by name", () => {
  assert.throws(() => g.readPose("{"), SyntaxError);
  assert.throws(() => g.readPose("{}"), /people/);
  assert.throws(() => g.readPose('{"people": [{}], "canvas_width": 9, "canvas_height": 9}'), /pose_keypoints_2d/);
});
