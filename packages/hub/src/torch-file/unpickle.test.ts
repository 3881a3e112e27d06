import { PeftError } from '@peft/errors';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { errorCode, errorOf } from '../../test/support/error-code.js';
import {
  call,
  dict,
  global,
  int,
  list,
  no,
  none,
  persistent,
  pickle,
  text,
  tuple,
  yes,
} from '../../test/support/pickle-builder.js';
import { ByteReader } from './byte-reader.js';
import { torchGlobals } from './torch-globals.js';
import { unpickle } from './unpickle.js';

const readerOf = (bytes: Uint8Array) =>
  new ByteReader((offset, length) => bytes.subarray(offset, offset + length), 0, bytes.length);
const load = (bytes: Uint8Array, persistentLoad?: (id: unknown) => unknown) =>
  unpickle(readerOf(bytes), {
    owner: 'test',
    globals: torchGlobals('test'),
    persistentLoad,
  });
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

describe('unpickle', () => {
  test('reads plain data', () => {
    const value = dict([
      [text('a'), list(int(1), int(-2), none)],
      [text('ü'), tuple(yes, no, tuple())],
    ]);
    expect(load(pickle(value))).toEqual(
      new Map<string, unknown>([
        ['a', [1, -2, null]],
        ['ü', [true, false, []]],
      ]),
    );
  });

  // Made with pickle.dumps(value, protocol=…) of Python 3: {'a': [1, 300, 2.5, None, True], 'b':
  // (1, 2), 'c': 2**70, 'd': -5}
  const expected = new Map<string, unknown>([
    ['a', [1, 300, 2.5, null, true]],
    ['b', [1, 2]],
    ['c', 2n ** 70n],
    ['d', -5],
  ]);
  test.each([
    [
      2,
      '80027d71002858010000006171015d7102284b014d2c0147400400000000' +
        '00004e886558010000006271034b014b0286710458010000006371058a0900000000000000004058010000006471064afbffffff752e',
    ],
    [
      4,
      '8004953f000000000000007d94288c0161945d94284b014d2c01474004' +
        '0000000000004e88658c0162944b014b0286948c0163948a090000000000000000408c0164944afbffffff752e',
    ],
  ])('reads protocol %i as Python writes it', (_, bytes) => {
    expect(load(hex(bytes))).toEqual(expected);
  });

  test('reads an OrderedDict with attributes, of which it keeps none', () => {
    const stateDict = Buffer.concat([
      call(global('collections', 'OrderedDict')),
      text('x'),
      int(3),
      Buffer.from('s'),
      dict([[text('_metadata'), dict([])]]),
      Buffer.from('b'),
    ]);
    expect(load(pickle(stateDict))).toEqual(new Map([['x', 3]]));
    expect(
      load(pickle(call(global('collections', 'OrderedDict'), list(tuple(text('x'), int(3)))))),
    ).toEqual(new Map([['x', 3]]));
  });

  test('stops after one pickle, so that another may follow', () => {
    const reader = readerOf(Buffer.concat([pickle(int(1)), pickle(int(2))]));
    const options = { owner: 'test', globals: new Map() };
    expect([unpickle(reader, options), unpickle(reader, options), reader.remaining]).toEqual([
      1, 2, 0,
    ]);
  });

  // The usual attacks: each names a function and calls it, by one opcode or another.
  test.each<[string, Uint8Array]>([
    ['os.system', pickle(call(global('os', 'system'), text('true')))],
    ['posix.system', pickle(call(global('posix', 'system'), text('true')))],
    ['builtins.eval', pickle(call(global('builtins', 'eval'), text('1')))],
    ['builtins.getattr', pickle(call(global('builtins', 'getattr'), none, text('x')))],
    ['a name that is only mentioned', pickle(dict([[text('a'), global('subprocess', 'Popen')]]))],
    [
      'torch.load of an inner file',
      pickle(call(global('torch.storage', '_load_from_bytes'), text('x'))),
    ],
    ['a listed name of another module', pickle(call(global('os', 'OrderedDict')))],
    [
      'a name in two parts (STACK_GLOBAL)',
      Buffer.concat([hex('8004'), hex('8c026f73 8c0673797374656d 93 2e')]),
    ],
    ['an old instance (INST)', Buffer.concat([Buffer.from('(ios\nsystem\n.')])],
    [
      'an object (OBJ)',
      Buffer.concat([Buffer.from('('), global('collections', 'OrderedDict'), Buffer.from('o.')]),
    ],
    [
      'NEWOBJ',
      Buffer.concat([
        hex('8002'),
        global('collections', 'OrderedDict'),
        Buffer.from(')\x81.', 'latin1'),
      ]),
    ],
    ['an extension (EXT1)', hex('8002 8201 2e')],
    ['a call of a name that is only a mark', pickle(call(global('torch', 'FloatStorage'), int(1)))],
    ['a call of a text', pickle(call(text('os.system'), text('true')))],
    ['a call of nothing', pickle(call(none, none))],
    ['a buffer outside (NEXT_BUFFER)', hex('8005 97 2e')],
    ['attributes on a list', pickle(Buffer.concat([list(), dict([]), Buffer.from('b')]))],
    ['a persistent object where none is expected', pickle(persistent(tuple(text('storage'))))],
    ['a persistent object by line', Buffer.from('P0\n.')],
  ])('refuses %s', async (_, bytes) => {
    expect(await errorCode(() => load(bytes))).toBe('PEFT_PICKLE_FORBIDDEN');
  });

  test('names what the file asked for', async () => {
    expect((await errorOf(() => load(pickle(call(global('os', 'system'), text('true')))))).message)
      .toMatchInlineSnapshot(`
      "hub: test asks for "os.system", which no file of weights needs.
        hint: Pickles can carry programs; this one is not read. Use a safetensors file, or convert it where you trust it."
    `);
  });

  test.each<[string, Uint8Array]>([
    ['is empty', new Uint8Array(0)],
    ['does not stop', hex('8002 4e')],
    ['stops with nothing', hex('8002 2e')],
    ['ends inside a text', hex('8002 58 ffffff7f 61')],
    ['announces a text of 2⁶⁴ bytes', hex('8004 8d ffffffffffffffff')],
    ['does not end a name', Buffer.from('cos')],
    ['pops what is not there', hex('8002 30 2e')],
    ['pops a mark', hex('8002 28 85 2e')],
    ['has no mark', hex('8002 74 2e')],
    ['recalls what was not remembered', hex('8002 6805 2e')],
    ['appends to a tuple', hex('8002 29 4e 61 2e')],
    ['sets an item in a list', hex('8002 5d 4e 4e 73 2e')],
    ['sets half an item', hex('8002 7d 28 4e 75 2e')],
    ['has a protocol of the future', hex('8009 4e 2e')],
  ])('refuses a pickle that %s', async (_, bytes) => {
    expect(await errorCode(() => load(bytes))).toBe('PEFT_PICKLE_DAMAGED');
  });

  test('whatever it is given, it gives data or a named error', () => {
    const sound = pickle(
      dict([
        [text('w'), call(global('collections', 'OrderedDict'), list(tuple(text('a'), int(1))))],
        [text('b'), tuple(int(1), yes)],
      ]),
    );
    const attempt = (bytes: Uint8Array) => {
      try {
        load(bytes, () => null);
      } catch (error) {
        if (!(error instanceof PeftError)) throw error;
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), attempt), { seed: 8, numRuns: 2000 });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(sound.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (changes) => {
          const bytes = Uint8Array.from(sound);
          for (const [at, byte] of changes) bytes[at] = byte;
          attempt(bytes);
        },
      ),
      { seed: 9, numRuns: 3000 },
    );
  });
});
