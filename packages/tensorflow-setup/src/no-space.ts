/** A folder that takes no more: the disk is full, or it belongs to somebody else. */
import { PeftError } from '@peft/errors';

/** In what programs say. */
export const NO_SPACE =
  /No space left on device|Disk quota exceeded|ENOSPC|EDQUOT|\[Errno (28|122)\]/i;

export const noSpace = (folder: string, cause?: unknown): PeftError =>
  new PeftError(
    'PEFT_SETUP_SPACE',
    `setup: the disk is full: ${folder}, or the temporary folder, takes no more.`,
    {
      hint:
        'make room and run the same command again (it goes on where it stopped), or choose ' +
        'another folder with PEFT_TENSORFLOW_HOME, and another temporary one with TMPDIR',
      cause,
    },
  );

/** The system's refusals to write, in words of ours; other errors as they are. */
export function writeError(folder: string, error: unknown): unknown {
  const { code = '', path = folder } = error as NodeJS.ErrnoException;
  if (['ENOSPC', 'EDQUOT'].includes(code)) return noSpace(folder, error);
  if (!['EACCES', 'EPERM', 'EROFS', 'ENOTDIR'].includes(code)) return error;
  return new PeftError('PEFT_SETUP_FOLDER', `setup: ${path} cannot be written (${code}).`, {
    hint: 'check whose folder it is, or choose another with PEFT_TENSORFLOW_HOME',
    cause: error,
  });
}
