// What the server refuses when a prompt is queued: marked at the one input that is to be changed.

import { unfold } from "./fold.js";
import { nodeAt } from "./views.js";

const OWN = "custom_validation_failed";

/** The host repeats a node's own refusal at every input that it checks. Ours begin with the name of the one they mean. */
export function narrow(api) {
  const { queuePrompt } = api;
  api.queuePrompt = async function (...values) {
    try {
      const answer = await queuePrompt.apply(this, values);
      mend(answer?.node_errors); // of some outputs, while others run
      return answer;
    } catch (error) {
      mend(error.response?.node_errors);
      throw error;
    }
  };
}

function mend(refused) {
  for (const [id, node] of Object.entries(refused ?? {})) {
    if (!node.class_type?.startsWith("PureCC")) continue;
    node.errors = meant(node.errors, node.class_type);
    const there = nodeAt(id);
    if (there) for (const { extra_info: about } of node.errors) unfold(there, about?.input_name);
  }
}

function meant(errors, type) {
  const { required, optional } = window.LiteGraph.registered_node_types[type]?.nodeData?.input ?? {};
  const inputs = { ...required, ...optional };
  const told = new Set();
  return errors.flatMap((error) => {
    const message = error.type === OWN ? error.details.split(" - ").slice(1).join(" - ") : "";
    const [name] = message.match(/^\w+/) ?? [];
    if (!(name in inputs)) return [error];
    if (told.has(message)) return [];
    told.add(message);
    return [{ ...error, details: `${name} - ${message}`, extra_info: { ...error.extra_info, input_name: name } }];
  });
}
