// Chibi Pose Editor and the preset gallery as widgets of their nodes, in the classic renderer and in Nodes 2.0.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { PoseEditor } from "./pose/editor.mjs";

const style = document.createElement("link");
style.rel = "stylesheet";
style.href = new URL("./pose/pose.css", import.meta.url).href;
document.head.append(style);

let catalogue;
const chinese = () => String(app.extensionManager?.setting?.get("Comfy.Locale") ?? "").startsWith("zh");

/** The library's poses, asked for once: [{name, label, group}]. */
function presets() {
  catalogue ??= api.fetchApi("/chibi_avatar/poses").then(async (reply) => {
    const { poses } = await reply.json();
    return poses.map((pose) => ({ ...pose, label: chinese() ? pose.zh : pose.name.replaceAll("_", " ") }));
  });
  return catalogue;
}

async function preset(name, heads, width, height) {
  const query = new URLSearchParams({ name, heads, width, height });
  const reply = await api.fetchApi(`/chibi_avatar/pose?${query}`);
  return reply.text();
}

function fromServer(item) {
  return api.apiURL(`/view?${new URLSearchParams({ filename: item.filename, subfolder: item.subfolder, type: item.type })}`);
}

function chain(object, name, after) {
  const before = object[name];
  object[name] = function (...values) {
    const result = before?.apply(this, values);
    after.apply(this, values);
    return result;
  };
}

function editorWidget(node, name, inputData) {
  let widget;
  const editor = new PoseEditor({
    changed: (text) => {
      widget?.callback?.(text);
      app.rootGraph?.setDirtyCanvas?.(true, true);
    },
    presets,
    preset,
    chinese: chinese(),
  });
  widget = node.addDOMWidget(name, "chibi_pose", editor.root, {
    getValue: () => editor.value,
    setValue: (value) => {
      editor.value = value;
    },
    socketless: true,
    getMinHeight: () => 380,
  });
  widget.editor = editor;
  editor.value = inputData?.[1]?.default ?? "";
  chain(widget, "onRemove", () => editor.dispose());
  chain(node, "onExecuted", (message) => {
    const picture = message?.chibi_background?.[0];
    if (picture) editor.background(fromServer(picture));
    if (message?.chibi_pose?.[0]) editor.incoming = message.chibi_pose[0];
  });
  return { widget, minWidth: 420, minHeight: 460 };
}

/** Clickable thumbnails under the preset node's choice. */
function gallery(node) {
  const choice = node.widgets?.find((w) => w.name === "pose");
  if (!choice) return;
  const root = document.createElement("div");
  root.className = "chibi-pose-gallery";
  root.addEventListener("wheel", (event) => event.stopPropagation());
  const mark = () => {
    for (const button of root.children) button.setAttribute("aria-pressed", String(button.dataset.pose === choice.value));
  };
  presets().then((poses) => {
    for (const pose of poses) {
      const button = document.createElement("button");
      button.type = "button";
      button.title = button.ariaLabel = pose.label;
      button.dataset.pose = pose.name;
      const picture = document.createElement("img");
      picture.loading = "lazy";
      picture.alt = "";
      picture.src = api.apiURL(`/chibi_avatar/pose/thumbnail?${new URLSearchParams({ name: pose.name })}`);
      button.append(picture);
      button.addEventListener("click", () => {
        choice.value = pose.name;
        choice.callback?.(pose.name);
        mark();
        app.rootGraph?.setDirtyCanvas?.(true, true);
      });
      root.append(button);
    }
    mark();
  });
  const widget = node.addDOMWidget("gallery", "chibi_pose_gallery", root, { serialize: false, getValue: () => "", setValue: () => {}, getMinHeight: () => 180 });
  widget.serialize = false;
  chain(choice, "callback", mark);
}

app.registerExtension({
  name: "chibi_avatar.pose",
  getCustomWidgets: () => ({ CHIBI_POSE: editorWidget }),
  nodeCreated(node) {
    if (node.comfyClass === "ChibiPosePreset") gallery(node);
  },
});
