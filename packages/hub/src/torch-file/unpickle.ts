/**
 * Reads a Python pickle as data. A pickle is a program that may name any function of Python; here a
 * name stands for itself unless it is on the caller's list, nothing is ever imported or run, and
 * every opcode that is not needed for plain data is refused.
 */
import { PeftError, show } from '@peft/errors';
import type { ByteReader } from './byte-reader.js';

/**
 * A name that a pickle may use. `call` makes what Python's function would have made, out of plain
 * data.
 */
export interface PickleGlobal {
  readonly global: string;
  readonly call?: (args: readonly unknown[]) => unknown;
}

export interface UnpickleOptions {
  /** Named in errors. */
  readonly owner: string;
  /** `module name` → what it stands for; any other name is refused. */
  readonly globals: ReadonlyMap<string, PickleGlobal>;
  /** Turns a persistent id into a value; without it such ids are refused. */
  readonly persistentLoad?: (id: unknown) => unknown;
}

/** No name or text of a checkpoint is as long. */
const MAX_TEXT_BYTES = 16_777_216;
/**
 * Dicts, lists and tuples of one pickle, which has about ten for each tensor. One byte makes one,
 * which takes up to 200 in memory.
 */
const MAX_CONTAINERS = 4_000_000;

const MARK = Symbol('mark');

/**
 * Reads one pickle (protocols 0 to 5) and leaves the reader after its last byte. A dict becomes a
 * `Map`, a list an array, a tuple a frozen array, a long integer a number where that is exact and a
 * bigint otherwise.
 *
 * @throws PEFT_PICKLE_FORBIDDEN a name or an opcode is not on the list.
 * @throws PEFT_PICKLE_DAMAGED the bytes are no pickle, end too early, or hold a text over 16 MiB or
 *   over 4,000,000 dicts, lists and tuples.
 */
export function unpickle(reader: ByteReader, options: UnpickleOptions): unknown {
  const { owner, globals, persistentLoad } = options;
  const stack: unknown[] = [];
  const memo = new Map<number, unknown>();
  const damaged = (problem: string) =>
    new PeftError(
      'PEFT_PICKLE_DAMAGED',
      `hub: ${owner} holds no sound pickle: ${problem} (byte ${reader.position}).`,
      { hint: 'Fetch the file again, or use a safetensors file.' },
    );
  const forbidden = (what: string) =>
    new PeftError(
      'PEFT_PICKLE_FORBIDDEN',
      `hub: ${owner} asks for ${what}, which no file of weights needs.`,
      {
        hint:
          'Pickles can carry programs; this one is not read. Use a safetensors file, or convert ' +
          'it where you trust it.',
      },
    );

  const take = (length: number): Uint8Array => {
    const bytes = reader.bytes(length);
    if (!bytes) throw damaged(`${length} bytes were announced and ${reader.remaining} are left`);
    return bytes;
  };
  const unsigned = (width: 1 | 2 | 4 | 8): number => {
    const bytes = Buffer.from(take(width));
    const value = width === 8 ? Number(bytes.readBigUInt64LE()) : bytes.readUIntLE(0, width);
    if (!Number.isSafeInteger(value)) throw damaged('a length is out of range');
    return value;
  };
  const text = (length: number, encoding: 'utf8' | 'latin1'): string => {
    if (length > MAX_TEXT_BYTES) throw damaged(`a text of ${length} bytes`);
    return Buffer.from(take(length)).toString(encoding);
  };
  const line = (): string => {
    const codes: number[] = [];
    for (let byte = reader.byte(); byte !== 0x0a; byte = reader.byte()) {
      if (byte < 0 || codes.length > 4096) throw damaged('a line does not end');
      codes.push(byte);
    }
    return Buffer.from(codes).toString('utf8');
  };
  const pop = (): unknown => {
    if (stack.length === 0 || stack.at(-1) === MARK) throw damaged('the stack is empty');
    return stack.pop();
  };
  const top = (): unknown => {
    if (stack.length === 0 || stack.at(-1) === MARK) throw damaged('the stack is empty');
    return stack.at(-1);
  };
  const popToMark = (): unknown[] => {
    const mark = stack.lastIndexOf(MARK);
    if (mark < 0) throw damaged('a mark is missing');
    const items = stack.splice(mark);
    return items.slice(1);
  };
  const list = (value: unknown): unknown[] => {
    if (!Array.isArray(value) || Object.isFrozen(value))
      throw damaged('something is appended to what is no list');
    return value;
  };
  const fill = (value: unknown, items: unknown[]): void => {
    if (!(value instanceof Map) || items.length % 2 !== 0)
      throw damaged('an item is set in what is no dict');
    for (let i = 0; i < items.length; i += 2) value.set(items[i], items[i + 1]);
  };
  const find = (module: unknown, name: unknown): PickleGlobal => {
    if (typeof module !== 'string' || typeof name !== 'string') throw damaged('a name is no text');
    const found = globals.get(`${module} ${name}`);
    if (!found) throw forbidden(show(`${module}.${name}`));
    return found;
  };
  let containers = 0;
  const container = (value: unknown): void => {
    containers += 1;
    if (containers > MAX_CONTAINERS)
      throw damaged(`over ${MAX_CONTAINERS} dicts, lists and tuples`);
    stack.push(value);
  };
  const recall = (key: number): unknown => {
    if (!memo.has(key)) throw damaged(`nothing was remembered as ${key}`);
    return memo.get(key);
  };
  const persist = (id: unknown): unknown => {
    if (!persistentLoad) throw forbidden('a persistent object');
    return persistentLoad(id);
  };

  for (;;) {
    const opcode = reader.byte();
    if (opcode < 0) throw damaged('it ends too early');
    switch (opcode) {
      case 0x80: // PROTO
        if (unsigned(1) > 5) throw damaged('its protocol is newer than 5');
        break;
      case 0x95: // FRAME
        unsigned(8);
        break;
      case 0x2e: // STOP
        return pop();
      case 0x28: // MARK
        stack.push(MARK);
        break;
      case 0x30: // POP, which may take a mark
        if (stack.length === 0) throw damaged('the stack is empty');
        stack.pop();
        break;
      case 0x31: // POP_MARK
        popToMark();
        break;
      case 0x4e: // NONE
        stack.push(null);
        break;
      case 0x88: // NEWTRUE
        stack.push(true);
        break;
      case 0x89: // NEWFALSE
        stack.push(false);
        break;
      case 0x4b: // BININT1
        stack.push(unsigned(1));
        break;
      case 0x4d: // BININT2
        stack.push(unsigned(2));
        break;
      case 0x4a: // BININT
        stack.push(Buffer.from(take(4)).readInt32LE());
        break;
      case 0x8a: // LONG1
        stack.push(longOf(take(unsigned(1))));
        break;
      case 0x47: // BINFLOAT
        stack.push(Buffer.from(take(8)).readDoubleBE());
        break;
      case 0x58: // BINUNICODE
        stack.push(text(unsigned(4), 'utf8'));
        break;
      case 0x8c: // SHORT_BINUNICODE
        stack.push(text(unsigned(1), 'utf8'));
        break;
      case 0x8d: // BINUNICODE8
        stack.push(text(unsigned(8), 'utf8'));
        break;
      case 0x54: // BINSTRING, of Python 2
        stack.push(text(unsigned(4), 'latin1'));
        break;
      case 0x55: // SHORT_BINSTRING
        stack.push(text(unsigned(1), 'latin1'));
        break;
      case 0x7d: // EMPTY_DICT
        container(new Map());
        break;
      case 0x5d: // EMPTY_LIST
        container([]);
        break;
      case 0x29: // EMPTY_TUPLE
        container(Object.freeze([]));
        break;
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: {
        // TUPLE3
        const items: unknown[] = [];
        for (let i = 0x84; i < opcode; i += 1) items.unshift(pop());
        container(Object.freeze(items));
        break;
      }
      case 0x74: // TUPLE
        container(Object.freeze(popToMark()));
        break;
      case 0x6c: // LIST
        container(popToMark());
        break;
      case 0x64: {
        // DICT
        const dict = new Map();
        fill(dict, popToMark());
        container(dict);
        break;
      }
      case 0x61: {
        // APPEND
        const item = pop();
        list(top()).push(item);
        break;
      }
      case 0x65: {
        // APPENDS
        const items = popToMark();
        const target = list(top());
        for (const item of items) target.push(item);
        break;
      }
      case 0x73: {
        // SETITEM
        const value = pop();
        const key = pop();
        fill(top(), [key, value]);
        break;
      }
      case 0x75: {
        // SETITEMS
        const items = popToMark();
        fill(top(), items);
        break;
      }
      case 0x68: // BINGET
        stack.push(recall(unsigned(1)));
        break;
      case 0x6a: // LONG_BINGET
        stack.push(recall(unsigned(4)));
        break;
      case 0x71: // BINPUT
        memo.set(unsigned(1), top());
        break;
      case 0x72: // LONG_BINPUT
        memo.set(unsigned(4), top());
        break;
      case 0x94: // MEMOIZE
        memo.set(memo.size, top());
        break;
      case 0x63: // GLOBAL
        stack.push(find(line(), line()));
        break;
      case 0x93: {
        // STACK_GLOBAL
        const name = pop();
        stack.push(find(pop(), name));
        break;
      }
      case 0x52: {
        // REDUCE: call a listed name
        const args = pop();
        const callee = pop() as Partial<PickleGlobal> | null;
        if (typeof callee !== 'object' || !callee?.call || !Array.isArray(args))
          throw forbidden(`a call of ${callee?.global ?? 'something that is no listed function'}`);
        stack.push(callee.call(args));
        break;
      }
      // BUILD: attributes, such as the `_metadata` of a state dict, which holds versions of modules
      case 0x62:
        pop();
        if (!(top() instanceof Map)) throw forbidden('attributes of an object');
        break;
      case 0x51: // BINPERSID
        stack.push(persist(pop()));
        break;
      default:
        throw forbidden(`the opcode 0x${opcode.toString(16).padStart(2, '0')}`);
    }
  }
}

/** Little-endian two's complement. */
function longOf(bytes: Uint8Array): number | bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i -= 1) value = (value << 8n) | BigInt(bytes[i]!);
  if (bytes.length > 0 && bytes.at(-1)! & 0x80) value -= 1n << BigInt(8 * bytes.length);
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
