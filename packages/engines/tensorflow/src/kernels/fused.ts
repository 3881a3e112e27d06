/**
 * Activations, norms and sums over rows by this package's own kernels for CPUs (the folder `cpp`),
 * each one pass over memory.
 */
import type { Tensor } from '@tensorflow/tfjs';
import type { Attributes, Device } from '../device.js';
import { nothing, register } from './register.js';

export function registerFused(device: Device): void {
  const run = (
    name: string,
    attributes: Attributes,
    inputs: readonly Tensor[],
    outputs: number,
  ): Tensor[] =>
    device.scope(() =>
      device.runAll(name, attributes, inputs, outputs).map((raw) => device.toTensor(raw)),
    );

  register('PeftActivation', ({ x }, { kind }) => run('PeftActivation', { kind }, [x!], 1));
  register('PeftActivationGradient', ({ x, dy }, { kind }) =>
    run('PeftActivationGradient', { kind }, [x!, dy!], 1),
  );
  register('PeftGatedActivation', ({ gate, up }, { kind }) =>
    run('PeftGatedActivation', { kind }, [gate!, up!], 1),
  );
  register('PeftGatedActivationGradient', ({ gate, up, dy }, { kind }) =>
    run('PeftGatedActivationGradient', { kind }, [gate!, up!, dy!], 2),
  );
  register('PeftLayerNorm', ({ x, gamma, beta }, { epsilon }) =>
    run('PeftLayerNorm', { epsilon: { float: epsilon } }, [x!, gamma!, beta ?? nothing()], 3),
  );
  register(
    'PeftLayerNormGradient',
    ({ x, gamma, mean, inverseStd, dy }, { needX, needGamma, needBeta }) =>
      run(
        'PeftLayerNormGradient',
        { need_x: needX, need_gamma: needGamma, need_beta: needBeta },
        [x!, gamma!, mean!, inverseStd!, dy!],
        3,
      ),
  );
  register('PeftRmsNorm', ({ x, gamma }, { epsilon, gammaOffset }) =>
    run(
      'PeftRmsNorm',
      { epsilon: { float: epsilon }, gamma_offset: { float: gammaOffset } },
      [x!, gamma!],
      2,
    ),
  );
  register(
    'PeftRmsNormGradient',
    ({ x, gamma, inverseRms, dy }, { gammaOffset, needX, needGamma }) =>
      run(
        'PeftRmsNormGradient',
        { gamma_offset: { float: gammaOffset }, need_x: needX, need_gamma: needGamma },
        [x!, gamma!, inverseRms!, dy!],
        2,
      ),
  );
  register('PeftScaleColumnsGradient', ({ x, scale, dy }, { needX, needScale }) =>
    run('PeftScaleColumnsGradient', { need_x: needX, need_scale: needScale }, [x!, scale!, dy!], 2),
  );
  register('PeftSumRows', ({ x }) => run('PeftSumRows', {}, [x!], 1));
}
