/**
 * A newcomer's way through the page in a real Chromium, with the real engine: drop a table, see
 * what a run will do, start it, watch it, look at its mistakes, try a text. All but the drop is done
 * with the keyboard. `PEFT_SCREENSHOTS=1` keeps pictures of it in docs/images.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page, Response } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CHROMIUM, expectReadable, launch, PATIENT_MS, tabTo, webpOf } from './chromium.js';
import { ROOT } from '../../../tools/packages.mjs';
import { QUICK_MODEL, TINY_LLAMA, writeRun } from './studio-fixture.js';
import { startStudio, type StartedStudio } from './started-studio.js';

const TABLE = join(ROOT, 'examples/quickstart/data/en_train.tsv');
const isForDocs = process.env['PEFT_SCREENSHOTS'] === '1';
/** Of pictures: three layers, and epochs enough that it learns. */
const MODEL = isForDocs ? join(ROOT, 'examples/quickstart/model') : QUICK_MODEL;
const EPOCHS = isForDocs ? '3' : '1';

/** What is to be seen only while a run lives is kept as it passes: the run may be done before a look. */
const keepWhatPasses = `
  window.passed = new Set();
  new MutationObserver(() => {
    for (const seen of document.querySelectorAll('.run-head .state.live, .tiles dt'))
      window.passed.add(seen.textContent.trim());
  }).observe(document.body, { childList: true, subtree: true, characterData: true });
`;

if (!CHROMIUM) console.log('no Chromium is installed: the studio’s page is not tested');

describe.skipIf(!CHROMIUM)('the page in Chromium', () => {
  let studio: StartedStudio;
  let browser: Browser;
  let page: Page;
  const complaints: string[] = [];
  /** What was asked and answered, for a test that fails. */
  const asked: string[] = [];
  beforeAll(async () => {
    studio = await startStudio();
    browser = await launch();
    const context = await browser.newContext({ viewport: { width: 1200, height: 800 } });
    page = await context.newPage();
    page.setDefaultTimeout(PATIENT_MS);
    page.on('pageerror', ({ message }) => complaints.push(message));
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
    page.on('response', (response) => void note(response));
    page.on('requestfailed', (request) =>
      asked.push(`${request.url()} failed: ${request.failure()?.errorText}`),
    );
    page.on('request', (request) => {
      if (!request.url().startsWith(new URL(studio.url).origin)) complaints.push(request.url());
    });
  });
  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail')
      console.log([...asked.slice(-30), page.url(), await page.innerText('main')].join('\n'));
  });
  afterAll(async () => {
    await browser?.close();
    await studio?.close();
  });

  it(
    'leads a newcomer from a table to a tried text',
    async () => {
      await page.goto(studio.url);
      await page.getByText('There are no runs in this folder yet.').waitFor();
      expect(new URL(page.url()).search).toBe('');
      await expectReadable(page);

      await tabTo(page, '.nothing a.button');
      await page.keyboard.press('Enter');
      await page.getByText('Drop a table here').waitFor();
      await expectReadable(page);
      await dropTable('en_train.tsv', readFileSync(TABLE, 'utf8'));
      await page.getByText('701 rows').waitFor();
      await tabTo(page, '#columns');
      await page.keyboard.type('topic, text\n');
      await page.locator('th', { hasText: 'topic label' }).waitFor();

      await fill('#model', MODEL);
      await tabTo(page, '#method');
      await page.keyboard.type('ia3_bias');
      expect(await page.locator('#method').inputValue()).toBe('ia3_bias');
      await fill('[id="setting-optim.max_epochs"]', EPOCHS);
      await fill('[id="setting-optim.lr"]', '5e-3');
      await fill('[id="setting-env.batch_size"]', '16');
      await fill('[id="setting-model.hf_text.max_text_len"]', '64');
      const steps = page.locator('.preview dd').nth(3);
      await expect
        .poll(() => steps.textContent(), { timeout: PATIENT_MS })
        .toBe(isForDocs ? '105' : '35');
      await page.getByText('science/technology').first().waitFor();
      await expectReadable(page);
      await picture('start');

      await fill('#name', 'topics');
      await page.locator('.start button:enabled').waitFor();
      await page.evaluate(keepWhatPasses);
      await page.keyboard.press('Enter');
      await page.locator('h2', { hasText: 'topics' }).waitFor();
      await page.locator('.run-head .state', { hasText: 'completed' }).waitFor();
      expect(await page.evaluate('[...window.passed]')).toEqual(
        expect.arrayContaining(['running', 'Time left']),
      );
      await page.getByText('Validation accuracy').first().waitFor();
      await expect
        .poll(() => page.locator('.tiles dd').first().textContent(), { timeout: PATIENT_MS })
        .toBe(isForDocs ? '105 of 105' : '35 of 35');
      await expectReadable(page);
      await picture('run');

      await tabTo(page, '[role=tab]');
      await page.keyboard.press('ArrowRight');
      await page.getByText('Score the held-out rows').waitFor();
      await tabTo(page, 'button.main');
      await page.keyboard.press('Enter');
      await page.locator('.confusion').waitFor();
      const counts = await page.locator('.confusion td.number').allTextContents();
      expect(counts.reduce((sum, count) => sum + Number(count), 0)).toBe(141);
      await expectReadable(page);
      await picture('results', '.confusion');
      await tabTo(page, '[role=tab][aria-selected=true]');
      await page.keyboard.press('ArrowRight');
      await tabTo(page, '#format');
      await page.keyboard.type('safetensors');
      await tabTo(page, 'button.main');
      await page.keyboard.press('Enter');
      await page.getByText('Exported:').waitFor();
      const exported = join(studio.folder, 'exports/topics/safetensors');
      await page.getByText(exported).first().waitFor();
      expect(existsSync(join(exported, 'model.safetensors'))).toBe(true);
      await expectReadable(page);
      await picture('export');
      for (const tab of ['Settings', 'Output']) {
        await tabTo(page, '[role=tab][aria-selected=true]');
        await page.keyboard.press('ArrowRight');
        await page.locator('[role=tab][aria-selected=true]', { hasText: tab }).waitFor();
        await expectReadable(page);
      }

      await tabTo(page, '.actions a[href^="#/try"]');
      await page.keyboard.press('Enter');
      await fill('#try-text', 'The team won the last match of the season.');
      await tabTo(page, 'button.main');
      await page.keyboard.press('Enter');
      await page.locator('.bar-list li').nth(6).waitFor();
      expect(await page.locator('.bar-list li').count()).toBe(7);
      await expectReadable(page);
      await picture('try');
      expect(complaints).toEqual([]);
    },
    3 * PATIENT_MS,
  );

  it('lays a run of another terminal over it, as soon as it begins', async () => {
    await page.goto(new URL('/#/runs/topics', studio.url).href);
    await page.locator('h2', { hasText: 'topics' }).waitFor();
    // a browser opens six connections at most: its pages take turns in being told
    const others = await Promise.all(Array.from({ length: 7 }, () => page.context().newPage()));
    for (const other of others) {
      await other.goto(page.url());
      await other.locator('h2', { hasText: 'topics' }).waitFor();
    }
    await writeRun({
      path: join(studio.folder, 'other'),
      facts: { settings: { 'optim.lr': 0.1 } },
      reason: 'failed',
      error: { code: 'PEFT_EXAMPLE', message: 'No <b>markup</b> comes of this.' },
    });
    await tabTo(page, '[aria-label="Compare other"]');
    await page.keyboard.press('Space');
    await page.getByText('What differs').waitFor();
    await page.locator('th', { hasText: 'optim.lr' }).first().waitFor();
    for (const other of others) {
      await other.locator('[aria-label="Compare other"]').waitFor();
      await other.close();
    }
    await expectReadable(page);
    await tabTo(page, '[aria-label="Compare topics"]');
    await page.keyboard.press('Space');
    await page.getByText('No <b>markup</b> comes of this.').waitFor();
    await expectReadable(page);
    expect(complaints).toEqual([]);
  });

  it('shows conversations as the model reads them, with what it learns in colour', async () => {
    const model = join(studio.folder, 'chat-model');
    cpSync(TINY_LLAMA, model, { recursive: true });
    writeFileSync(
      join(model, 'chat_template.jinja'),
      "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{{ eos_token }}{% endfor %}" +
        '{% if add_generation_prompt %}<assistant>{% endif %}',
    );
    const chats = Array.from({ length: 8 }, (_, at) =>
      JSON.stringify({
        messages: [
          { role: 'user', content: `Who won match ${at}?` },
          { role: 'assistant', content: `The guests did, by ${at}.` },
        ],
      }),
    );
    await page.goto(new URL('/#/start', studio.url).href);
    await page.getByText('Drop a table here').waitFor();
    let answerNow = (): void => undefined;
    const isTyped = new Promise<void>((resolve) => (answerNow = resolve));
    await answerPreviews('PEFT_EXAMPLE', 'An answer to what was before.', 1, isTyped);
    await dropTable('chats.jsonl', chats.join('\n'));
    await page.getByText('8 rows').waitFor();
    // what is typed stays when an answer comes meanwhile
    await tabTo(page, '#model');
    await page.keyboard.type(model.slice(0, 5));
    answerNow();
    await page.getByText('An answer to what was before.').waitFor();
    // a preview that was given up for one that came out of turn is asked for again
    await answerPreviews('PEFT_STUDIO_THREAD', 'given up', 2);
    await page.keyboard.type(model.slice(5));
    expect(await page.locator('#model').inputValue()).toBe(model);
    await page.keyboard.press('Tab');
    const example = page.locator('pre[aria-label="Example 1"]');
    await example.waitFor();
    expect(await example.textContent()).toMatch(/<user>Who won match \d\?.*<assistant>The guests/s);
    const learnt = (await example.locator('mark').allTextContents()).join('');
    expect(learnt).toMatch(/^The guests did, by \d\./);
    expect(learnt).not.toContain('match');
    const colour = (selector: string): Promise<string> =>
      example
        .locator(selector)
        .first()
        .evaluate((element) => getComputedStyle(element).backgroundColor);
    expect(await colour('mark')).not.toBe(await colour('span'));
    await expectReadable(page);
    expect(complaints).toEqual([]);
  });

  async function note(response: Response): Promise<void> {
    const { pathname } = new URL(response.url());
    const at = `${pathname} ${response.request().postData() ?? ''}: ${response.status()}`;
    if (pathname !== '/api/preview') return void asked.push(at);
    const answer = await response.text().catch((error: Error) => error.message);
    asked.push(`${at} ${answer.slice(0, 1000)}`);
  }

  /** A drop as the browser hands it over. */
  async function dropTable(name: string, content: string): Promise<void> {
    const transfer = await page.evaluateHandle(
      ([file, text]) => {
        const made = new DataTransfer();
        made.items.add(new File([text], file));
        return made;
      },
      [name, content] as const,
    );
    await page.dispatchEvent('.drop', 'drop', { dataTransfer: transfer });
  }

  /** What the studio would have said, once `moment` has come. */
  async function answerPreviews(
    code: string,
    message: string,
    times: number,
    moment = Promise.resolve(),
  ): Promise<void> {
    const json = { problem: { code, message } };
    await page.route('**/api/preview', (route) => moment.then(() => route.fulfill({ json })), {
      times,
    });
  }

  async function fill(selector: string, text: string): Promise<void> {
    await tabTo(page, selector);
    await page.keyboard.press('ControlOrMeta+A');
    await page.keyboard.type(text);
    await page.keyboard.press('Tab');
  }

  /** @param within what is scrolled to. */
  async function picture(name: string, within?: string): Promise<void> {
    if (!isForDocs) return;
    mkdirSync(join(ROOT, 'docs/images'), { recursive: true });
    if (within === undefined) await page.evaluate('scrollTo(0, 0)');
    else
      await page.locator(within).evaluate((element) => element.scrollIntoView({ block: 'center' }));
    const png = await page.screenshot();
    writeFileSync(join(ROOT, `docs/images/studio-${name}.webp`), await webpOf(browser, png));
  }
});
