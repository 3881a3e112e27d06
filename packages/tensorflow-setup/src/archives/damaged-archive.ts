/** The error for a wheel or tarball that cannot be unpacked. */
import { PeftError } from '@peft/errors';

export const damaged = (path: string, problem: string): PeftError =>
  new PeftError('PEFT_SETUP_ARCHIVE', `setup: ${path} cannot be unpacked: ${problem}.`, {
    hint: 'fetch it again; --from takes wheels and libtensorflow archives (.tar.gz), --tfjs-node a tarball from npm',
  });
