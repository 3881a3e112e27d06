/** What a user calls a model: a folder, or a name on the hub with a revision or without. */
import { check, PeftError } from '@peft/errors';
import { statSync } from 'node:fs';
import { homedir } from 'node:os';
import { resolve } from 'node:path';

/** A name on the hub. */
export interface HubReference {
  readonly name: string;
  /** Branch, tag or commit; undefined where none is named. */
  readonly revision: string | undefined;
}

/** An absolute path, or a name on the hub. */
export type ModelReference = { readonly folder: string } | HubReference;

/**
 * Reads `FOLDER`, `NAME` or `NAME@REVISION`; a folder wins over a name.
 *
 * @param revision named apart; it must not contradict the one in the text.
 * @throws PEFT_MODEL_FOLDER, PEFT_MODEL_NAME it is neither a folder nor a possible name.
 * @throws PEFT_HUB_REVISION a revision is no branch, tag or commit, there are two, or one is named
 *   for a folder.
 */
export function modelReference(text: string, revision?: string): ModelReference {
  check.string('resolveModel', 'nameOrFolder', text);
  const folder = localFolder(text);
  if (folder !== undefined && revision !== undefined) throw revisionOfFolder(folder, revision);
  if (folder !== undefined) return { folder };
  const at = text.indexOf('@');
  const name = at < 0 ? text : text.slice(0, at);
  const own = at < 0 ? undefined : checkedRevision(text.slice(at + 1));
  if (!isHubName(name))
    throw new PeftError(
      'PEFT_MODEL_NAME',
      `hub: ${JSON.stringify(text)} is neither a folder nor a possible name on the hub.`,
      { hint: 'A folder needs the right path; a name on the hub reads organisation/model.' },
    );
  const given = revision === undefined ? undefined : checkedRevision(revision);
  if (own !== undefined && given !== undefined && own !== given)
    throw new PeftError(
      'PEFT_HUB_REVISION',
      `hub: ${JSON.stringify(text)} names the revision ${JSON.stringify(own)}, and ` +
        `${JSON.stringify(given)} was named beside it.`,
      { hint: 'Name one of them.' },
    );
  return { name, revision: own ?? given };
}

/** A folder or file is what it is. */
export const revisionOfFolder = (folder: string, revision: string): PeftError =>
  new PeftError(
    'PEFT_HUB_REVISION',
    `hub: ${folder} lies here and has no revision ${JSON.stringify(revision)}.`,
    { hint: 'A revision goes with a name on the hub; leave it out, or name the model there.' },
  );

/** Whether the first part of the name is a folder here, so that a folder may have been meant. */
export function looksLikeFolder(name: string): boolean {
  const [first, second] = name.split('/');
  return second !== undefined && isDirectory(resolve(first!));
}

/** The folder that the text names, or undefined where it can only be a hub name. */
function localFolder(text: string): string | undefined {
  const path = resolve(text.replace(/^~(?=$|[\\/])/, homedir()));
  const stat = text === '' ? undefined : statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory()) return path;
  if (stat)
    throw new PeftError('PEFT_MODEL_FOLDER', `hub: ${path} is a file, not the folder of a model.`, {
      hint: 'Name the folder that holds config.json and the weights.',
    });
  if (/^(\.|~|\/|\\|[A-Za-z]:[\\/])/.test(text))
    throw new PeftError('PEFT_MODEL_FOLDER', `hub: there is no model folder at ${path}.`, {
      hint: 'Check the path.',
    });
  return undefined;
}

const isDirectory = (path: string): boolean =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;

/**
 * The hub's own rules: letters, digits, `-`, `_` and `.`, at most 96, no `--` or `..`, neither `-`
 * nor `.` at an end.
 */
export function isHubName(name: string): boolean {
  const parts = name.split('/');
  return (
    parts.length <= 2 &&
    parts.every((part) => part.length <= 96 && /^\w([\w.-]*\w)?$/.test(part)) &&
    !/--|\.\.|\.git$/.test(name)
  );
}

/** A revision becomes a file name in the cache. */
function checkedRevision(revision: string): string {
  if (
    !/^[\w][\w./+-]*$/.test(revision) ||
    revision.split('/').some((part) => part === '' || part === '.' || part === '..')
  ) {
    throw new PeftError(
      'PEFT_HUB_REVISION',
      `hub: ${JSON.stringify(revision)} is no branch, tag or commit.`,
      { hint: 'Use for instance "main", "v1.0" or the 40 characters of a commit.' },
    );
  }
  return revision;
}
