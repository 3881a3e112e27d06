/** Links of pages lead somewhere: in the repository, and on the page of a published package. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { pages } from '../checks/snippets/markdown-blocks.js';
import { packageFolders, ROOT } from '../packages.mjs';

const readManifest = (folder: string) =>
  JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8')) as {
    keywords?: readonly string[];
    homepage?: string;
    repository?: { url: string; directory?: string };
  };
/** The one place that says where the repository is published. */
const REPOSITORY = readManifest('.').repository!.url.replace(/^git\+|\.git$/g, '');

function linksOf(page: string): string[] {
  const prose = readFileSync(join(ROOT, page), 'utf8').replace(/^ *```[\s\S]*?^ *```/gm, '');
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!);
}

/** The path that a link means, relative to the root; undefined for another site or this page. */
function pathOf(page: string, link: string): string | undefined {
  const [, inRepository] = new RegExp(`^${REPOSITORY}/(?:blob|tree)/main/([^#]+)`).exec(link) ?? [];
  if (inRepository !== undefined) return inRepository;
  if (/^([a-z]+:|#)/.test(link)) return undefined;
  return join(dirname(page), link.split('#')[0]!);
}

test.each(pages())('links of %s lead to files that are there', (page) => {
  const broken = linksOf(page).filter((link) => {
    const path = pathOf(page, link);
    return path !== undefined && !existsSync(join(ROOT, path));
  });
  expect(broken).toEqual([]);
});

describe.each(packageFolders())('%s', (folder) => {
  test('has a README whose links work where only the package is', () => {
    const relative = linksOf(`${folder}/README.md`).filter((link) => !/^(https?:|#)/.test(link));
    expect(relative).toEqual([]);
  });

  test('says where it comes from and what it is about', () => {
    const { keywords, homepage, repository } = readManifest(folder);
    expect(repository).toEqual({ type: 'git', url: `git+${REPOSITORY}.git`, directory: folder });
    expect(homepage).toBe(`${REPOSITORY}/tree/main/${folder}#readme`);
    expect(keywords?.length).toBeGreaterThan(3);
  });
});
