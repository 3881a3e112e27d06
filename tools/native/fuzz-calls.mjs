/** Odd arguments for the addon's functions, from a seed and the number of a call. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fieldsOf, signatures } from './fuzz-signatures.mjs';

const ODD_NUMBERS = [-1, 1.5, NaN, Infinity, -Infinity, 2 ** 31, 2 ** 32, 2 ** 40, 2 ** 53, 1e300];
const ODD_VALUES = [undefined, null, {}, [], 'text', true, 7n, Symbol('odd'), () => 0];
const FORMATS = ['f32', 'f16', 'bf16', 'int8', 'nf4', 'fp4'];

/** mulberry32 */
function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The function and arguments of call number `index`. */
export function callOf(native, seed, index) {
  const draw = random(Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b));
  const functions = signatures();
  const { name, parameters } = functions[Math.floor(draw() * functions.length)];
  return { name, args: new ArgumentMaker(native, draw, name).all(parameters) };
}

class ArgumentMaker {
  /** Typed arrays of the call so far, which a getter may detach. */
  #arrays = [];

  constructor(native, draw, functionName) {
    this.native = native;
    this.draw = draw;
    this.functionName = functionName;
  }

  all(parameters) {
    return parameters.map(({ name, type }) => this.of(name, type));
  }

  chance(share) {
    return this.draw() < share;
  }

  pick(list) {
    return list[Math.floor(this.draw() * list.length)];
  }

  of(name, type) {
    if (this.chance(0.02)) return this.pick(ODD_VALUES);
    if (type.endsWith('| null') && this.chance(0.3)) return null;
    const plain = type.replace(/ \| null$/, '');
    const options = /^(AttentionOptions|DisentangledOptions)$/.exec(plain);
    if (options) return this.options(fieldsOf(options[1]));
    if (plain.startsWith('readonly F32[]')) return this.list();
    if (plain === 'number') return this.number(name);
    if (plain === 'boolean') return this.chance(0.5);
    if (plain === 'F32' || plain === 'Float32Array') return this.array(Float32Array);
    if (plain.includes('Int32Array')) return this.integers(name);
    if (plain === 'Uint8Array') return this.array(Uint8Array);
    if (plain === 'Float64Array') return this.array(Float64Array);
    if (plain === 'ArrayBuffer') return new ArrayBuffer(64);
    if (plain === 'WeightHandle') return this.weight();
    if (name === 'path') return this.path();
    return this.pick([...FORMATS, 'portable', 'mmx']);
  }

  number(name) {
    if (this.functionName === 'setThreads') return this.pick([0, 1, 2, -1, 257, NaN]);
    if (this.functionName === 'allocate') return this.pick([0, 1, 1000, 2 ** 17, -1, NaN]);
    if (name === 'blockSize' && this.chance(0.8)) return this.pick([32, 64, 4096]);
    if (this.chance(0.06)) return this.pick(ODD_NUMBERS);
    if (/^(epsilon|rate|scale|softCap|beta|gradientScale|value|m[ia][nx]imum)/.test(name))
      return this.draw();
    if (this.chance(0.15)) return 0;
    return Math.floor(this.draw() * this.pick([3, 9, 40]));
  }

  array(Type) {
    const length = this.chance(0.85) ? 4096 : Math.floor(this.draw() * 40);
    const array = new Type(length).map(() => this.draw() * (Type === Uint8Array ? 256 : 2) - 1);
    if (this.chance(0.1)) array[0] = NaN;
    if (this.chance(0.03)) return new Type(array.buffer, 0, Math.floor(length / 2));
    if (this.chance(0.03)) structuredClone(array, { transfer: [array.buffer] });
    this.#arrays.push(array);
    return array;
  }

  /** Offsets, indices or positions. */
  integers(name) {
    const length = Math.floor(this.draw() * 6) + 1;
    let sum = 0;
    const rises = /ffsets$/.test(name);
    const array = Int32Array.from({ length: rises ? length : 4096 }, (_, i) => {
      if (!rises) return Math.floor(this.draw() * 3);
      sum += i === 0 ? 0 : Math.floor(this.draw() * 5);
      return sum;
    });
    if (this.chance(0.08)) array[Math.floor(this.draw() * array.length)] = -2;
    this.#arrays.push(array);
    return array;
  }

  list() {
    const list = Array.from({ length: Math.floor(this.draw() * 4) }, () =>
      this.array(Float32Array),
    );
    if (this.chance(0.2)) this.#detachWhenRead(list, 0, list[0]);
    return list;
  }

  options(fields) {
    const options = {};
    for (const { name, type } of fields) options[name] = this.of(name, type);
    if (this.chance(0.2)) {
      const { name } = this.pick(fields);
      this.#detachWhenRead(options, name, options[name]);
    }
    return options;
  }

  /** Makes a property whose getter detaches the arrays of the call, one of them or all. */
  #detachWhenRead(object, property, value) {
    const victims = this.chance(0.5) ? [...this.#arrays] : [this.pick(this.#arrays)];
    Object.defineProperty(object, property, {
      get() {
        for (const array of victims)
          if (array?.byteLength > 0) structuredClone(array, { transfer: [array.buffer] });
        return value;
      },
    });
  }

  weight() {
    if (this.chance(0.03)) return {};
    const [rows, columns] = [this.number('rows'), this.number('columns')];
    try {
      const transposed = this.chance(0.3);
      const bytes = new Uint8Array(4 * 40 * 40 + 4).map(() => this.draw() * 256);
      const plain = this.native.weightFromBytes(bytes, 'f32', rows, columns, transposed);
      const weight = this.chance(0.7)
        ? this.native.weightConvert(plain, this.pick(FORMATS), 64, this.chance(0.5))
        : plain;
      if (this.chance(0.05)) this.native.weightFree(weight);
      return weight;
    } catch {
      return {}; // an odd size
    }
  }

  path() {
    if (this.chance(0.2)) return this.pick(['', '/', '/nowhere/at all', 'a\0b', 'x'.repeat(5000)]);
    return scratchFile();
  }
}

let scratch;

/** A file of a few kilobytes, removed when the process ends. */
function scratchFile() {
  if (scratch) return scratch;
  const folder = mkdtempSync(join(tmpdir(), 'peft-fuzz-file-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  scratch = join(folder, 'weights.bin');
  writeFileSync(scratch, new Uint8Array(8192));
  return scratch;
}
