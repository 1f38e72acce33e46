"""Every sentence the headless room says, in English and Chinese, in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import NodeProblem

MESSAGES: dict[str, tuple[str, str]] = {
    "error": ("{reason}", "{reason}"),
    "input": ("{reason}", "{reason_zh}"),
    "workflow": ("{path}: {reason}", "{path}：{reason_zh}"),
    "server_unreachable": (
        "No ComfyUI answers at {url} ({reason}). Start one with `python3 -m chibi_avatar serve`, or pass --server URL.",
        "{url} 没有 ComfyUI 应答（{reason}）。请用 `python3 -m chibi_avatar serve` 启动，或用 --server 指定地址。",
    ),
    "bad_reply": (
        "{url}{route} answered with something that is not ComfyUI's: {reason}. Is another program on that port?",
        "{url}{route} 的回复不是 ComfyUI 应有的内容：{reason}。该端口上是否运行着别的程序？",
    ),
    "job_lost": (
        "The server at {url} no longer knows job {job_id}: it restarted or its history was cleared. Run the job again.",
        "{url} 的服务器已不认识任务 {job_id}：它重启过，或历史被清空。请重新运行该任务。",
    ),
    "job_cancelled": ("Job {job_id} was cancelled on {url}.", "任务 {job_id} 在 {url} 上被取消。"),
    "job_timeout": (
        "Job {job_id} on {url} did not finish in {seconds:g} s. It may still run; raise the time limit to wait longer.",
        "任务 {job_id} 在 {url} 上 {seconds:g} 秒内没有完成，可能仍在运行；可以调高时间上限继续等待。",
    ),
    "job_stopped": (
        "Job {job_id} on {url} did not finish in {seconds:g} s and was stopped. Raise the time limit to wait longer.",
        "任务 {job_id} 在 {url} 上 {seconds:g} 秒内没有完成，已停止；可以调高时间上限。",
    ),
    "job_stuck": (
        "Job {job_id} on {url} did not finish in {seconds:g} s and does not stop when cancelled. Restart that server.",
        "任务 {job_id} 在 {url} 上 {seconds:g} 秒内没有完成，取消后也没有停下。请重启该服务器。",
    ),
    "server_crashed": (
        "The server fell silent {count} times while it ran this row ({reason}). Out of memory? Try a smaller size.",
        "运行这一行时服务器 {count} 次失去应答（{reason}）。可能是内存不足，请改用较小的尺寸。",
    ),
    "output_refused": (
        "Refused the file {name} from {url}: {reason}. Nothing was written.",
        "拒收 {url} 的文件 {name}：{reason}。没有写入任何内容。",
    ),
    "job_failed": (
        "Node “{title}” (#{node_id}, {class_type}) failed: {exception}: {message}",
        "节点「{title}」（#{node_id}，{class_type}）运行出错：{exception}：{message}",
    ),
    "ray_missing": (
        "--engine ray needs Ray on this machine: {python} -m pip install 'ray>=2.60'",
        "--engine ray 需要本机安装 Ray：{python} -m pip install 'ray>=2.60'",
    ),
    "prompt_rejected": ("The workflow cannot run on {url}:", "此工作流无法在 {url} 上运行："),
    "prompt_rejected_partial": (
        "Part of the workflow cannot run on {url} (the rest would run, and you would get fewer files):",
        "工作流的一部分无法在 {url} 上运行（其余部分会运行，但得到的文件会变少）：",
    ),
}

PROBLEMS: dict[str, tuple[str, str]] = {
    "required_input_missing": (
        "input “{input}” is required but has no value and no connection",
        "必需的输入「{input}」既没有值也没有连接",
    ),
    "bad_linked_input": (
        "input “{input}” has a broken link ({received}); a link is [node id, output number]",
        "输入「{input}」的连接无效（{received}）；连接应为 [节点编号, 输出序号]",
    ),
    "return_type_mismatch": (
        "input “{input}” is connected to an output of the wrong type: {details}",
        "输入「{input}」连接到了类型不符的输出：{details}",
    ),
    "value_smaller_than_min": (
        "“{input}” is {received}, below the minimum {limit}",
        "「{input}」为 {received}，小于最小值 {limit}",
    ),
    "value_bigger_than_max": (
        "“{input}” is {received}, above the maximum {limit}",
        "「{input}」为 {received}，大于最大值 {limit}",
    ),
    "value_not_in_list": (
        "“{input}” is {received!r}, which is not one of the values there",
        "「{input}」的值 {received!r} 不在可选范围内",
    ),
    "missing_model": (
        "“{input}” needs the file {received!r}, which this server does not have",
        "「{input}」需要文件 {received!r}，而该服务器上没有",
    ),
    "invalid_input_type": (
        "“{input}” has a value of the wrong kind: {details}",
        "「{input}」的值类型不对：{details}",
    ),
    "custom_validation_failed": ("“{input}” is refused by the node: {details}", "节点拒绝了「{input}」：{details}"),
    "dependency_cycle": ("the nodes feed each other in a circle: {details}", "节点之间首尾相连成环：{details}"),
    "missing_node_type": (
        "this server has no node {class_type!r}; its node pack is not installed there",
        "该服务器没有节点 {class_type!r}；对应的节点包没有安装",
    ),
    "exception_during_validation": (
        "the server stumbled while checking the node: {details}",
        "服务器检查该节点时出错：{details}",
    ),
    "exception_during_inner_validation": (
        "the server stumbled while checking what feeds this node: {details}",
        "服务器检查该节点的上游时出错：{details}",
    ),
    "prompt_no_outputs": (
        "nothing in the workflow saves or shows a result; add a Save node",
        "工作流里没有任何保存或预览结果的节点；请加一个保存节点",
    ),
    "prompt_outputs_failed_validation": ("no output can be made: {details}", "无法生成任何输出：{details}"),
    "no_prompt": ("the request held no workflow", "请求里没有工作流"),
    "invalid_prompt_id": ("the job id is not a canonical lower-case UUID", "任务编号不是规范的小写 UUID"),
}


def say(key: str, language: str, **values: Any) -> str:
    """The message ``key`` filled with ``values``. A missing Chinese reason falls back to the English one."""
    values.setdefault("reason_zh", values.get("reason", ""))
    return MESSAGES[key][language == "zh"].format(**values)


def problem_text(problem: NodeProblem, language: str) -> str:
    """One node problem as a sentence, with the nearest valid values and the way out."""
    chinese = language == "zh"
    template = PROBLEMS.get(problem.type, ("{input} {details}", "{input} {details}"))[chinese]
    sentence = template.format(
        input=problem.input,
        received=problem.received,
        details=problem.details,
        limit=problem.limit,
        class_type=problem.class_type,
    )
    if problem.node_id:
        where = (
            f"节点「{problem.title}」（#{problem.node_id}）" if chinese else f"“{problem.title}” (#{problem.node_id})"
        )
        sentence = f"{where}：{sentence}" if chinese else f"{where}: {sentence}"
    if problem.nearest:
        listed = ", ".join(repr(value) for value in problem.nearest)
        sentence += f"；最接近的可选值：{listed}" if chinese else f"; nearest: {listed}"
        if problem.available is not None and problem.available > len(problem.nearest):
            sentence += f"（共 {problem.available} 个）" if chinese else f" (of {problem.available})"
    elif problem.available == 0:
        sentence += "；当前没有任何可选值" if chinese else "; there are no values to choose from"
    hint = problem.hint_zh if chinese else problem.hint_en
    return f"{sentence}. {hint}" if hint and not chinese else f"{sentence}。{hint}" if hint else sentence
