import assert from 'node:assert/strict'
import { test } from 'node:test'

import { bytes, clean, entityParts, firstLine, percent, progressText, seconds, short, unitText, valueText, withUnit } from '../src/lib/format'

test('numbers are short and keep three digits', () => {
  assert.equal(short(1234), '1.23 k')
  assert.equal(short(999.6), '1 k')
  assert.equal(short(0), '0')
  assert.equal(short(null), '–')
  assert.equal(short(-5_600_000), '-5.6 M')
  assert.equal(bytes(1536), '1.5 KiB')
  assert.equal(percent(1, 8), '12.5 %')
  assert.equal(percent(0, 0), '–')
})

test('durations choose their unit', () => {
  assert.deepEqual([0, 4e-7, 0.0042, 12, 95, 7260, 90_000].map(seconds), ['0 s', '400 ns', '4.2 ms', '12 s', '1 min 35 s', '2 h 1 min', '1 d 1 h'])
  assert.equal(progressText(40.2, 60), '40 s of 60 s')
  assert.equal(progressText(412, 600), '6 min 52 s of 10 min')
})

test('values carry the unit that was sent', () => {
  assert.equal(withUnit(2048, 'By'), '2 KiB')
  assert.equal(withUnit(80, 'ms'), '80 ms')
  assert.equal(withUnit(3, '{request}'), '3 request')
  assert.equal(withUnit(0.5, '1'), '0.5')
  assert.equal(unitText('1'), '')
})

test('telemetry cannot steer what shows it', () => {
  assert.equal(clean('\u001b[31mred\u001b[0m \u001b]0;title\u0007x'), 'red x')
  assert.equal(clean('a\u202eb\u0000c\r\nd\te'), 'abc\nd\te')
  assert.equal(clean('\u009b31mred'), 'red')
  assert.equal(firstLine('  one\ntwo'), 'one')
  assert.equal(valueText({ a: '\u001b[1m' }), '{"a":"\\u001b[1m"}')
})

test('entity keys come apart', () => {
  assert.deepEqual(entityParts('service=a%3Db|pod=x%7Cy'), [
    { part: 'service', value: 'a=b' },
    { part: 'pod', value: 'x|y' },
  ])
  assert.deepEqual(entityParts(''), [])
})
