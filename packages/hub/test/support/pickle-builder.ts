/**
 * Writes pickles for tests, opcode by opcode, the harmless ones of torch.save and the harmful ones
 * of an attacker.
 */

export type PickleItem = Uint8Array;

const bytes = (...parts: (number | string | Uint8Array)[]): Uint8Array =>
  Buffer.concat(
    parts.map((part) => (typeof part === 'number' ? Uint8Array.of(part) : Buffer.from(part))),
  );

function uint32(value: number): Uint8Array {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(value);
  return out;
}

export const text = (value: string): PickleItem =>
  bytes(0x58, uint32(Buffer.byteLength(value)), value);
export const int = (value: number): PickleItem => bytes(0x4a, uint32(value >>> 0));
export const none: PickleItem = bytes(0x4e);
export const yes: PickleItem = bytes(0x88);
export const no: PickleItem = bytes(0x89);
export const global = (module: string, name: string): PickleItem => bytes(`c${module}\n${name}\n`);
export const tuple = (...items: PickleItem[]): PickleItem => bytes('(', ...items, 't');
export const list = (...items: PickleItem[]): PickleItem => bytes(']', '(', ...items, 'e');
export const dict = (entries: readonly (readonly [PickleItem, PickleItem])[]): PickleItem =>
  bytes('}', '(', ...entries.flat(), 'u');
export const call = (callee: PickleItem, ...args: PickleItem[]): PickleItem =>
  bytes(callee, tuple(...args), 'R');
export const persistent = (id: PickleItem): PickleItem => bytes(id, 'Q');
/** A whole pickle of protocol 2. */
export const pickle = (item: PickleItem): Uint8Array => bytes(0x80, 2, item, '.');

export const storage = (
  type: string,
  key: string,
  length: number,
  view?: PickleItem,
): PickleItem => {
  const id = [text('storage'), global('torch', type), text(key), text('cpu'), int(length)];
  return persistent(tuple(...id, ...(view ? [view] : [])));
};

export const tensor = (
  of: PickleItem,
  offset: number,
  shape: number[],
  strides: number[],
): PickleItem =>
  call(
    global('torch._utils', '_rebuild_tensor_v2'),
    of,
    int(offset),
    tuple(...shape.map(int)),
    tuple(...strides.map(int)),
    no,
    call(global('collections', 'OrderedDict')),
  );

/** torch.save before PyTorch 1.6. */
export function legacyTorchFile(
  object: PickleItem,
  storages: readonly { key: string; length: number; data: Uint8Array }[],
): Uint8Array {
  const magic = bytes(0x80, 2, 0x8a, 10, Buffer.from('6cfc9c46f9206aa85019', 'hex'), '.');
  const system = dict([
    [text('protocol_version'), int(1001)],
    [text('little_endian'), yes],
  ]);
  const lengths = storages.map(({ length, data }) => {
    const prefix = Buffer.alloc(8);
    prefix.writeBigInt64LE(BigInt(length));
    return bytes(prefix, data);
  });
  return bytes(
    magic,
    pickle(int(1001)),
    pickle(system),
    pickle(object),
    pickle(list(...storages.map(({ key }) => text(key)))),
    ...lengths,
  );
}
