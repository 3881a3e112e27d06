/** tfjs's elementwise kernels. */
import type { DataType, TensorInfo } from '@tensorflow/tfjs';
import { PeftError } from '@peft/errors';
import { MATHS } from '../../backend/functions.js';
import { register, type KernelCall } from '../../backend/register.js';
import { elementwise } from './elementwise.js';

/** Formulas of x0 in float32. */
const UNARY: Readonly<Record<string, string>> = {
  Neg: '-x0',
  Abs: 'abs(x0)',
  Square: 'x0 * x0',
  Sqrt: 'sqrt(x0)',
  Rsqrt: '1.0 / sqrt(x0)',
  Reciprocal: '1.0 / x0',
  Exp: 'exp_of(x0)',
  Expm1: 'expm1_of(x0)',
  Log: 'log(x0)',
  Log1p: 'log1p_of(x0)',
  Tanh: 'tanh_of(x0)',
  Sigmoid: 'sigmoid_of(x0)',
  Erf: 'erf_of(x0)',
  Softplus: 'max(x0, 0.0) + log1p_of(exp_of(-abs(x0)))',
  Relu: 'select(x0, 0.0, x0 < 0.0)',
  Relu6: 'clamp(x0, 0.0, 6.0)',
  Elu: 'select(x0, expm1_of(x0), x0 < 0.0)',
  Sin: 'sine_of(x0, 0)',
  Cos: 'sine_of(x0, 1)',
  Tan: 'sine_of(x0, 0) / sine_of(x0, 1)',
  Sign: 'sign(x0)',
  Floor: 'floor(x0)',
  Ceil: 'ceil(x0)',
  Round: 'round(x0)',
};
/** And in int32. */
const UNARY_OF_INTEGERS: Readonly<Record<string, string>> = {
  Neg: '-x0',
  Abs: 'abs(x0)',
  Square: 'x0 * x0',
  Relu: 'max(x0, 0)',
  Sign: 'sign(x0)',
};
const TESTS: Readonly<Record<string, string>> = {
  IsNan: 'select(0, 1, is_nan(x0))',
  IsInf: 'select(0, 1, (bitcast<u32>(x0) & 0x7fffffffu) == 0x7f800000u)',
  IsFinite: 'select(0, 1, (bitcast<u32>(x0) & 0x7f800000u) != 0x7f800000u)',
};
/** Formulas of x0 and x1 in either type. */
const BINARY: Readonly<Record<string, string>> = {
  Add: 'x0 + x1',
  Sub: 'x0 - x1',
  Multiply: 'x0 * x1',
  Maximum: 'max(x0, x1)',
  Minimum: 'min(x0, x1)',
  SquaredDifference: '(x0 - x1) * (x0 - x1)',
};
const BINARY_OF_FLOATS: Readonly<Record<string, string>> = {
  RealDiv: 'x0 / x1',
  FloorDiv: 'floor(x0 / x1)',
  Mod: 'x0 - x1 * floor(x0 / x1)',
  Pow: 'power_of(x0, x1)',
};
const BINARY_OF_INTEGERS: Readonly<Record<string, string>> = {
  // rounded down, as floor() of the quotient
  FloorDiv: 'x0 / x1 - select(0, 1, x0 % x1 != 0 && ((x0 < 0) != (x1 < 0)))',
  Mod: '(x0 % x1 + x1) % x1',
};
const COMPARISONS: Readonly<Record<string, string>> = {
  Equal: 'x0 == x1',
  NotEqual: 'x0 != x1',
  Greater: 'x0 > x1',
  GreaterEqual: 'x0 >= x1',
  Less: 'x0 < x1',
  LessEqual: 'x0 <= x1',
};
const LOGIC: Readonly<Record<string, string>> = {
  LogicalAnd: 'x0 != 0 && x1 != 0',
  LogicalOr: 'x0 != 0 || x1 != 0',
};

const truth = (text: string): string => `select(0, 1, ${text})`;

export function registerArithmetic(): void {
  const unary = (
    name: string,
    formula: (
      x: TensorInfo,
      call: KernelCall,
    ) => { text?: string; numbers?: Record<string, number>; dtype?: DataType },
  ) =>
    register(name, (call) => {
      const x = call.inputs['x']!;
      const { text, numbers, dtype = x.dtype } = formula(x, call);
      if (text === undefined) throw noFormula(name, x);
      return elementwise(
        call.backend,
        { name, text, numbers, dtype, declarations: mathsOf(text) },
        [x],
      );
    });
  for (const name of Object.keys(UNARY))
    unary(name, ({ dtype }) => ({
      text: (dtype === 'float32' ? UNARY : UNARY_OF_INTEGERS)[name],
    }));
  for (const [name, text] of Object.entries(TESTS))
    unary(name, ({ dtype }) => ({ text: dtype === 'float32' ? text : undefined, dtype: 'bool' }));
  unary('LogicalNot', () => ({ text: truth('x0 == 0'), dtype: 'bool' }));
  unary('LeakyRelu', (_, { attributes }) => ({
    text: 'select(x0, slope * x0, x0 < 0.0)',
    numbers: { slope: attributes['alpha'] as number },
  }));
  unary('Step', (_, { attributes }) => ({
    text: 'select(select(below, 1.0, x0 > 0.0), x0, is_nan(x0))',
    numbers: { below: (attributes['alpha'] as number | undefined) ?? 0 },
  }));
  unary('ClipByValue', ({ dtype }, { attributes }) => ({
    text: dtype === 'float32' ? 'clamp(x0, low, high)' : 'clamp(x0, i32(low), i32(high))',
    numbers: {
      low: attributes['clipValueMin'] as number,
      high: attributes['clipValueMax'] as number,
    },
  }));
  const binary = (name: string, formula: (x: TensorInfo) => string | undefined, dtype?: DataType) =>
    register(name, ({ inputs, backend }) => {
      const { a, b } = inputs as Record<'a' | 'b', TensorInfo>;
      const text = formula(a);
      if (text === undefined || (a.dtype === 'float32') !== (b.dtype === 'float32'))
        throw noFormula(name, a, b);
      return elementwise(
        backend,
        { name, text, dtype: dtype ?? a.dtype, declarations: mathsOf(text) },
        [a, b],
      );
    });
  for (const [name, text] of Object.entries(BINARY)) binary(name, () => text);
  for (const name of ['RealDiv', 'FloorDiv', 'Mod', 'Pow'])
    binary(
      name,
      ({ dtype }) => (dtype === 'float32' ? BINARY_OF_FLOATS : BINARY_OF_INTEGERS)[name],
    );
  for (const [name, text] of Object.entries(COMPARISONS)) binary(name, () => truth(text), 'bool');
  for (const [name, text] of Object.entries(LOGIC)) binary(name, () => truth(text), 'bool');
  registerSums();
}

function registerSums(): void {
  register('AddN', ({ inputs, backend }) => {
    const tensors = Object.values(inputs);
    return tensors.slice(1).reduce(
      (sum, x, n) => {
        const next = elementwise(backend, { name: 'Add', text: 'x0 + x1', dtype: x.dtype }, [
          sum,
          x,
        ]);
        if (n > 0) backend.disposeData(sum.dataId);
        return next;
      },
      tensors.length === 1 ? backend.reshaped(tensors[0]!, tensors[0]!.shape) : tensors[0]!,
    );
  });
  register('Select', ({ inputs, backend }) => {
    const { condition, t, e } = inputs as Record<'condition' | 't' | 'e', TensorInfo>;
    // a condition for each row of what is chosen from
    const isByRow = condition.shape.length === 1 && t.shape.length > 1;
    const asked = isByRow
      ? { ...condition, shape: [condition.shape[0]!, ...t.shape.slice(1).map(() => 1)] }
      : condition;
    return elementwise(
      backend,
      { name: 'Select', text: 'select(x2, x1, x0 != 0)', dtype: t.dtype },
      [asked, t, e],
    );
  });
  register<{ dtype: DataType }>('Cast', ({ inputs, attributes: { dtype }, backend }) => {
    const x = inputs['x']!;
    if (dtype === x.dtype) return backend.reshaped(x, x.shape);
    const text = {
      float32: 'f32(x0)',
      int32: 'i32(x0)',
      bool: x.dtype === 'float32' ? truth('x0 != 0.0') : truth('x0 != 0'),
    }[dtype as 'float32' | 'int32' | 'bool'];
    if (text === undefined) throw noFormula(`Cast to ${dtype}`, x);
    return elementwise(backend, { name: `Cast ${dtype}`, text, dtype }, [x]);
  });
}

const mathsOf = (text: string): string | undefined =>
  /_of\(|is_nan/.test(text) ? MATHS : undefined;

const noFormula = (name: string, ...tensors: readonly TensorInfo[]): PeftError =>
  new PeftError(
    'PEFT_WEBGPU_DTYPE',
    `webgpu: ${name} of ${tensors.map(({ dtype }) => dtype).join(' and ')} is not computed here.`,
    { hint: 'cast to float32' },
  );
