// The scenario's fields, what is pinned, and the address that holds both.

/** The value at a path of names and numbers; undefined where there is none. */
export function at(node, path) {
  return path.reduce((inner, part) => (inner === null || inner === undefined ? undefined : inner[part]), node);
}

/** A copy with another value at a path; undefined takes it away, and sections that are left empty with it. */
export function changed(node, path, value) {
  const [part, ...rest] = path;
  const copy = Array.isArray(node) ? [...node] : { ...node };
  const below = rest.length ? changed(copy[part] ?? {}, rest, value) : value;
  const empty = rest.length && !Array.isArray(below) && Object.keys(below).length === 0;
  if ((below === undefined || empty) && !Array.isArray(copy)) {
    delete copy[part];
  } else {
    copy[part] = below;
  }
  return copy;
}

/** What two scenarios differ in, as texts: `fleet.0.uplink 10MB/s`. */
export function differences(one, other) {
  const [own, others] = [leaves(one), leaves(other)];
  return [...new Set([...own.keys(), ...others.keys()])]
    .filter((path) => path !== "name" && own.get(path) !== others.get(path))
    .map((path) => `${path} ${own.has(path) ? own.get(path) : "as by default"}`);
}

function leaves(node, above = "", found = new Map()) {
  if (node !== null && typeof node === "object") {
    for (const [name, below] of Object.entries(node)) {
      leaves(below, above && name === "name" && above === "method" ? above : above ? `${above}.${name}` : name, found);
    }
  } else {
    found.set(above, String(node));
  }
  return found;
}

/** Write the state for an address, compressed. */
export async function packed(state) {
  const stream = new Blob([JSON.stringify(state)]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Read the state from an address; null if it holds none that can be read. */
export async function unpacked(text) {
  try {
    const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(plain, (sign) => sign.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    const state = JSON.parse(await new Response(stream).text());
    const sound = state && typeof state.fields === "object" && Array.isArray(state.pins ?? []);
    return sound ? { fields: state.fields, pins: (state.pins ?? []).filter((pin) => typeof pin?.fields === "object") } : null;
  } catch {
    return null;
  }
}
