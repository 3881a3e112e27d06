import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { uncheckedMetric } from '../src/index.js';
import { quickRows } from './quick.js';
import { useRefusals } from './refusals.js';

const at = useRefusals();
const { refusal, file } = at;

describe('bad data is refused before a model is loaded', () => {
  it('a missing file, with the nearest name', async () => {
    file('train.csv', 'topic,text\na,b c d\n');
    expect(await refusal(join(at.folder, 'trian.csv'))).toMatchObject({
      code: 'PEFT_FILE_MISSING',
      message: expect.stringContaining('"train.csv"') as string,
    });
  });

  it('something that is no data', async () => {
    expect(await refusal(7 as never)).toMatchObject({ code: 'PEFT_DATA_INVALID' });
  });

  it('a missing label column, with the nearest name', async () => {
    expect(await refusal(quickRows(20), { label: 'topics' })).toMatchObject({
      code: 'PEFT_COLUMN_MISSING',
      message: expect.stringContaining('"topic"') as string,
    });
  });

  it('a missing text column', async () => {
    expect(await refusal(quickRows(20), { fit: { textColumns: ['txt'] } })).toMatchObject({
      code: 'PEFT_COLUMN_MISSING',
      message: expect.stringContaining('"text"') as string,
    });
    expect(
      await refusal(quickRows(20), {
        fit: {
          tuningData: [
            { topic: 'sports', body: 'x' },
            { topic: 'health', body: 'y' },
          ],
        },
      }),
    ).toMatchObject({ code: 'PEFT_COLUMN_MISSING' });
    expect(await refusal(quickRows(20).map(({ topic }, i) => ({ topic, size: i })))).toMatchObject({
      code: 'PEFT_TEXT_COLUMN_MISSING',
    });
  });

  it('one class only', async () => {
    expect(await refusal(quickRows(20, 1))).toMatchObject({ code: 'PEFT_LABEL_ONE_CLASS' });
  });

  it('an empty table', async () => {
    expect(await refusal([])).toMatchObject({ code: 'PEFT_TABLE_EMPTY' });
    expect(await refusal(file('empty.csv', ''))).toMatchObject({ code: 'PEFT_TABLE_EMPTY' });
    expect(
      await refusal(file('header.csv', 'topic,text\n'), { fit: { header: true } }),
    ).toMatchObject({ code: 'PEFT_TABLE_EMPTY' });
  });

  it('rows without a label, and validation labels that training lacks', async () => {
    expect(await refusal([...quickRows(20), { topic: null, text: 'a b c' }])).toMatchObject({
      code: 'PEFT_LABEL_MISSING_VALUES',
    });
    expect(
      await refusal(quickRows(20), {
        fit: { tuningData: [{ topic: 'cooking', text: 'a b c' }, ...quickRows(4)] },
      }),
    ).toMatchObject({
      code: 'PEFT_LABEL_UNKNOWN',
      message: expect.stringContaining('"cooking"') as string,
    });
  });

  it('a metric that does not fit, or has no value on the validation rows', async () => {
    expect(
      await refusal(quickRows(20), { evalMetric: uncheckedMetric('accurracy') }),
    ).toMatchObject({
      code: 'PEFT_METRIC_UNKNOWN',
      message: expect.stringContaining('"accuracy"') as string,
    });
    expect(await refusal(quickRows(20), { evalMetric: 'rmse' })).toMatchObject({
      code: 'PEFT_METRIC_INPUT_INVALID',
    });
    expect(await refusal(quickRows(30, 3), { evalMetric: 'roc_auc' })).toMatchObject({
      code: 'PEFT_METRIC_UNDEFINED',
    });
    expect(await refusal(quickRows(20), { fit: { tuningData: quickRows(4, 1) } })).toMatchObject({
      code: 'PEFT_METRIC_UNDEFINED',
    });
  });
});
