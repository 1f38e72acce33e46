// Bundles three.js, three-vrm and src/ into one self-contained module, with every licence inside it and beside it.
// node build.mjs [OUT_FOLDER], with the packages in node_modules here or in NODE_PATH (tools/build_viewer.py sees to that).
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const modules = process.env.NODE_PATH ?? join(here, "node_modules");
const { build } = createRequire(import.meta.url)("esbuild");
const target = join(process.argv[2] ?? join(here, "../../web/lib"), "three_vrm_viewer.mjs");

const result = await build({
  absWorkingDir: here,
  entryPoints: ["src/main.mjs"],
  nodePaths: [modules],
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  metafile: true,
  write: false,
});

// Every npm package that put bytes into the bundle, with its licence.
const packages = new Set();
for (const [path, input] of Object.entries(result.metafile.outputs[Object.keys(result.metafile.outputs)[0]].inputs)) {
  const name = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1];
  if (name && input.bytesInOutput > 0) packages.add(name);
}
// three-vrm is published as one file that already holds its own modules.
const bundledByThreeVrm = "@pixiv/three-vrm includes @pixiv/three-vrm-core, -materials-mtoon, -springbone, -node-constraint and others, MIT, pixiv Inc.";
const notices = [...packages].sort().map((name) => {
  const folder = join(modules, name);
  const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return `${name} ${version} (${license})\n\n${readFileSync(join(folder, "LICENSE"), "utf8").trim()}\n`;
});
const text = `three_vrm_viewer.mjs is built by tools/viewer/build.mjs and contains:\n\n${notices.join("\n" + "-".repeat(72) + "\n\n")}\n${bundledByThreeVrm}\n`;
writeFileSync(target.replace(/\.mjs$/, ".LICENSES.txt"), text);
writeFileSync(target, `/*!\n${text.replaceAll("*/", "* /")}*/\n${result.outputFiles[0].text}`);
