async graph => {
  // Between two nodes is room for a title, and for the foot of a Vue node whose file is missing.
  const GAP = 58, BETWEEN = 90, HEAD = 88, TALLER = 30; // a Vue node is taller by its badge
  const find = (node, name, kind) => {
    const found = node[kind].findIndex(slot => slot.name === name || slot.label === name);
    if (found < 0) throw Error(`${node.type} has no ${name} among its ${kind}: ${node[kind].map(s => s.name)}`);
    return found;
  };
  const fill = (node, described) => {
    for (const [name, value] of Object.entries(described.values)) {
      const widget = name ? node.widgets.find(widget => widget.name === name) : node.widgets[0];
      if (!widget) throw Error(`${node.type} has no widget ${name}: ${node.widgets?.map(w => w.name)}`);
      if (widget.options?.values?.length && !widget.options.values.includes(value)) widget.options.values.push(value);
      widget.value = value;
      widget.callback?.(value, app.canvas, node);
    }
    for (const widget of node.widgets ?? []) if (widget.name === "control_after_generate") widget.value = "fixed";
    if (described.title) node.title = described.title;
  };
  const link = (nodes, described) => {
    for (const [key, { inputs }] of Object.entries(described))
      for (const [input, source] of Object.entries(inputs)) {
        const [from, output] = source.split(".");
        nodes[from].connect(find(nodes[from], output, "outputs"), nodes[key], find(nodes[key], input, "inputs"));
      }
  };
  // A wire over several columns goes below the nodes between, so that none runs behind a node.
  const around = (columns, column) => {
    const low = Array(columns.length).fill(0);
    for (const made of [...app.graph.links.values()]) {
      const [from, to] = [made.origin_id, made.target_id].map(id => column.get(String(id)));
      if (to - from < 2) continue;
      const between = [...columns.keys()].slice(from + 1, to);
      const y = Math.max(...between.map(k => columns[k].bottom)) + 24 + 16 * Math.max(...between.map(k => low[k]++));
      app.graph.createReroute([columns[from].x + columns[from].width + BETWEEN / 2 - 10, y], made);
      app.graph.createReroute([columns[to].x - BETWEEN / 2 + 10, y], made);
    }
  };
  const place = (node, described, x, y, width, least = 0) => {
    node.pos = [x, y];
    node.setSize([width, Math.max(node.computeSize()[1], described.height ?? 0, least)]);
    return y + node.size[1] + GAP;
  };

  const part = described => {
    const empty = { lastGroupId: 0, lastNodeId: 0, lastLinkId: 0, lastRerouteId: 0 };
    const edge = id => ({ id, bounding: [0, 0, 128, 48] });
    const { name, description } = described;
    const subgraph = app.rootGraph.createSubgraph({
      id: crypto.randomUUID(), version: 1, state: empty, revision: 0, config: {}, name, description,
      inputNode: edge(-10), outputNode: edge(-20), inputs: [], outputs: [], widgets: [], nodes: [], links: [], groups: [],
    });
    const nodes = {};
    for (const [key, one] of Object.entries(described.nodes)) {
      nodes[key] = LiteGraph.createNode(one.type);
      if (!nodes[key]) throw Error(`There is no node ${one.type}`);
      subgraph.add(nodes[key]);
      fill(nodes[key], one);
    }
    link(nodes, described.nodes);
    for (const [name, targets] of Object.entries(described.inputs)) {
      let slot;
      for (const target of targets) {
        const [key, input] = target.split("."), at = nodes[key].inputs[find(nodes[key], input, "inputs")];
        slot ??= subgraph.addInput(name, at.type);
        slot.connect(at, nodes[key]);
      }
    }
    for (const [name, source] of Object.entries(described.outputs)) {
      const [key, output] = source.split("."), at = nodes[key].outputs[find(nodes[key], output, "outputs")];
      subgraph.addOutput(name, at.type).connect(at, nodes[key]);
    }
    let x = 0;
    for (const column of described.columns) {
      let y = 0;
      for (const key of column) y = place(nodes[key], described.nodes[key], x, y, 400) + TALLER;
      x += 400 + BETWEEN;
    }
    subgraph.inputNode.pos = [-260, 0];
    subgraph.outputNode.pos = [x, 0];
    return subgraph;
  };

  // The values of the widgets that a subgraph shows, from the nodes inside.
  const shown = subgraph => {
    const values = {};
    for (const { name, linkIds } of subgraph.inputs) {
      const { target_id, target_slot } = subgraph.links.get(linkIds[0]), node = subgraph.getNodeById(target_id);
      const widget = node.widgets?.find(widget => widget.name === node.inputs[target_slot].widget?.name);
      if (widget) values[name] = widget.value;
    }
    return values;
  };

  await app.loadGraphData({ nodes: [], links: [], version: 0.4, last_node_id: 0, last_link_id: 0 }, true, true);
  const nodes = {};
  for (const [key, described] of Object.entries(graph.nodes)) {
    const { type } = described, made = typeof type === "string" ? type : part(type).id;
    nodes[key] = LiteGraph.createNode(made);
    if (!nodes[key]) throw Error(`There is no node ${type.name ?? type}`);
    app.graph.add(nodes[key]);
    if (typeof type === "string") fill(nodes[key], described);
    else nodes[key].title = described.title || type.name;
    if (type === "MarkdownNote") Object.assign(nodes[key], { color: "#432", bgcolor: "#653" });
  }
  link(nodes, graph.nodes);
  const ids = Object.entries(nodes).map(([key, node]) => [key, node.id]);
  await app.loadGraphData(JSON.parse(JSON.stringify(app.rootGraph.serialize())), true, true);
  for (const [key, id] of ids) {
    nodes[key] = app.graph.getNodeById(id); // before it was loaded, instances of two subgraphs shared their values
    const described = graph.nodes[key], { subgraph } = nodes[key];
    if (subgraph) fill(nodes[key], { values: { ...shown(subgraph), ...described.values } });
  }
  const columns = [], column = new Map();
  const lay = least => {
    columns.length = 0;
    let x = 24;
    for (const { title, nodes: keys, width } of graph.columns) {
      let y = HEAD;
      for (const key of keys) {
        y = place(nodes[key], graph.nodes[key], x, y, width, least(nodes[key]));
        column.set(String(nodes[key].id), columns.length);
      }
      columns.push({ title, x, width, bottom: y - GAP + 24 });
      x += width + BETWEEN;
    }
    app.canvas.setDirty(true, true);
    return new Promise(resolve => setTimeout(resolve, 500));
  };
  // The height of a node in the renderer that draws it taller: text boxes grow when they are drawn, and so do Vue nodes.
  const render = async vue => {
    const { setting } = app.extensionManager;
    await setting.set("Comfy.RightSidePanel.ShowErrorsTab", !vue); // what files are missing depends on the machine
    await setting.set("Comfy.VueNodes.Enabled", vue);
    await new Promise(resolve => setTimeout(resolve, 1000));
  };
  await lay(() => 0);
  await render(true);
  const tall = new Map(app.graph.nodes.map(node => [node, 4 * Math.ceil(node.size[1] / 4)]));
  await render(false);
  await lay(node => tall.get(node));
  for (const { title, x, width, bottom } of columns) {
    if (!title) continue;
    const group = new LiteGraph.LGraphGroup(title);
    group.pos = [x - 24, 0];
    group.size = [width + 48, bottom];
    app.graph.add(group);
  }
  around(columns, column);
  return JSON.parse(JSON.stringify((await app.graphToPrompt()).workflow));
}
