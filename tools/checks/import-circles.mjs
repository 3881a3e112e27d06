/**
 * Circles of relative imports: files that need each other, be it for a type alone, are read, moved
 * and tested together only.
 *
 * Files are nodes and imports are edges; a strongly connected component with two files or more is
 * one tangle. It is named by its shortest circle, which is where to cut first.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { sourceFiles, specifiersOf } from './imports-of.mjs';

/**
 * @param {string} folder whose TypeScript files are looked at, at any depth.
 * @returns {{ files: string[], circle: string[] }[]} tangles: all files of each, and a shortest
 *   circle in it, whose first file stands at the end again.
 */
export function importCircles(folder) {
  const graph = importGraph(folder);
  return components(graph)
    .filter((files) => files.length > 1 || graph.get(files[0]).includes(files[0]))
    .map((files) => ({ files: [...files].sort(), circle: shortestCircle(graph, files) }))
    .sort((a, b) => (a.files[0] < b.files[0] ? -1 : 1));
}

/** @returns {Map<string, string[]>} file → files of the folder that it imports. */
function importGraph(folder) {
  const graph = new Map();
  for (const file of sourceFiles(folder)) {
    const imported = [...specifiersOf(file)]
      .filter((specifier) => specifier.startsWith('.'))
      .map((specifier) => sourceOf(join(dirname(file), specifier)))
      .filter((path) => path !== undefined);
    graph.set(file, [...new Set(imported)]);
  }
  for (const [file, imported] of graph)
    graph.set(
      file,
      imported.filter((path) => graph.has(path)),
    );
  return graph;
}

/** `./rows.js` is `rows.ts` before it is compiled. */
function sourceOf(path) {
  return [path.replace(/\.m?js$/, '.ts'), path.replace(/\.mjs$/, '.mts'), path].find((candidate) =>
    existsSync(candidate),
  );
}

/** Strongly connected components, by Tarjan's algorithm (1972). */
function components(graph) {
  const found = [];
  const order = new Map();
  const low = new Map();
  const stack = [];
  const onStack = new Set();
  const visit = (node) => {
    order.set(node, order.size);
    low.set(node, order.get(node));
    stack.push(node);
    onStack.add(node);
    for (const next of graph.get(node)) {
      if (!order.has(next)) {
        visit(next);
        low.set(node, Math.min(low.get(node), low.get(next)));
      } else if (onStack.has(next)) low.set(node, Math.min(low.get(node), order.get(next)));
    }
    if (low.get(node) !== order.get(node)) return;
    const component = [];
    let last;
    do {
      last = stack.pop();
      onStack.delete(last);
      component.push(last);
    } while (last !== node);
    found.push(component);
  };
  for (const node of graph.keys()) if (!order.has(node)) visit(node);
  return found;
}

/** By breadth-first search from each file of a component. */
function shortestCircle(graph, files) {
  const inside = new Set(files);
  let best;
  for (const start of [...files].sort()) {
    const from = new Map();
    const queue = [start];
    search: for (const node of queue)
      for (const next of graph.get(node)) {
        if (!inside.has(next)) continue;
        if (next === start) {
          const circle = [start];
          for (let at = node; at !== start; at = from.get(at)) circle.unshift(at);
          circle.unshift(start);
          if (!best || circle.length < best.length) best = circle;
          break search;
        }
        if (from.has(next)) continue;
        from.set(next, node);
        queue.push(next);
      }
  }
  return best;
}
