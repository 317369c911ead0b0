// Where a node that the pack adds stands.

const GAP = 60;

/** Puts a new node to the right of another, or to its left, below whatever stands there. */
export function beside(node, added, left = false) {
  const [width, height] = added.size;
  const x = left ? node.pos[0] - width - GAP : node.pos[0] + node.size[0] + GAP;
  let y = node.pos[1];
  const others = node.graph.nodes.filter((other) => other !== added).sort((one, other) => one.pos[1] - other.pos[1]);
  for (const { pos, size } of others)
    if (pos[0] < x + width && x < pos[0] + size[0] && pos[1] < y + height + GAP && y < pos[1] + size[1] + GAP) y = pos[1] + size[1] + GAP;
  added.pos = [x, y];
}
