/** What a setup is told, and what it takes where it is not told. */
import { basename, join } from 'node:path';
import { check, PeftError } from '@peft/errors';
import { cacheFolder, probeGpus } from '@peft/tensorflow';
import { parseWheelName } from './wheel-name.js';

/** Which TensorFlow is set up, from what, and where. */
export interface SetupOptions {
  /** Default: `cuda` where nvidia-smi lists a card, else `cpu`. */
  readonly device?: 'cpu' | 'cuda';
  /** TensorFlow's. Default 2.21.0. */
  readonly version?: string;
  /**
   * Wheels of TensorFlow (and NVIDIA's, for cuda), an official libtensorflow archive, a folder of
   * an installed `tensorflow` package, or addresses of such files. Default: pip fetches.
   */
  readonly from?: readonly string[];
  /** tfjs-node as a tarball or folder. Default: an installed one, else npm fetches it. */
  readonly tfjsNode?: string;
  /** Default: {@link cacheFolder}. */
  readonly home?: string;
  /** Asked before anything is downloaded; false ends the setup. */
  readonly confirm: (question: string) => Promise<boolean>;
  /** A line for people on what is being done; with `fraction` the same step goes on. */
  readonly report?: (step: string, fraction?: number) => void;
  readonly signal?: AbortSignal;
}

/** The version of TensorFlow that is set up where none is named. */
export const DEFAULT_TENSORFLOW = '2.21.0';

/** One setup, with its defaults filled in. */
export interface Setup extends Omit<SetupOptions, 'home' | 'device' | 'version' | 'from'> {
  readonly home: string;
  readonly device: 'cpu' | 'cuda';
  readonly version: string;
  readonly from: readonly string[];
  readonly downloads: string;
  /** The folder that is worked in. */
  readonly partial: string;
  /** Does nothing where nobody listens. */
  readonly report: (step: string, fraction?: number) => void;
}

/**
 * Fills in the defaults.
 *
 * @throws PEFT_CONFIG_INVALID an option is unknown, the device none of the two, or the version no
 *   version.
 */
export function withDefaults(options: SetupOptions): Setup {
  check.knownKeys('setup', options, [
    'device',
    'version',
    'from',
    'tfjsNode',
    'home',
    'confirm',
    'report',
    'signal',
  ]);
  const {
    device = probeGpus().gpus.length > 0 ? 'cuda' : 'cpu',
    from = [],
    home = cacheFolder(),
    report = () => undefined,
  } = options;
  check.oneOf('setup', 'device', device, ['cpu', 'cuda']);
  const named =
    from
      .map((source) => parseWheelName(basename(source)))
      .find((wheel) => wheel?.package.startsWith('tensorflow'))?.version ??
    from.map((source) => /libtensorflow\S*?(\d+\.\d+\.\d+)/.exec(source)?.[1]).find(Boolean);
  const version = options.version ?? named ?? (from.length > 0 ? 'custom' : DEFAULT_TENSORFLOW);
  if (!/^[\w.+]+$/.test(version))
    throw new PeftError(
      'PEFT_CONFIG_INVALID',
      `setup: version must be like ${DEFAULT_TENSORFLOW}, got ${JSON.stringify(version)}.`,
    );
  return {
    ...options,
    device,
    version,
    from,
    home,
    report,
    downloads: join(home, 'downloads'),
    partial: join(home, `${version}-${device}.partial`),
  };
}
