// Sends logs, metrics and traces with the OpenTelemetry JavaScript SDK, once, and exits: 0 when all was acknowledged.
//
//   node send.mjs WAY HTTP_PORT GRPC_PORT [TOKEN]
//
// WAY is json, proto or grpc, with "+gzip" behind it for compression.
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, diag, trace } from '@opentelemetry/api';
import { SeverityNumber } from '@opentelemetry/api-logs';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';
import { AggregationType, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';

const [way, httpPort, grpcPort, token] = process.argv.slice(2);
const [protocol, compression] = way.split('+');
const failures = [];
diag.setLogger({ error: (...said) => failures.push(said), warn() {}, info() {}, debug() {}, verbose() {} });

async function exporter(signal, path, name) {
  const { [name]: Exporter } = await import(
    `@opentelemetry/exporter-${signal}-otlp-${{ json: 'http', proto: 'proto', grpc: 'grpc' }[protocol]}`
  );
  const options = { compression: compression ?? 'none', timeoutMillis: 20_000 };
  if (protocol === 'grpc') {
    const { Metadata } = await import('@grpc/grpc-js');
    const metadata = new Metadata();
    if (token) metadata.set('authorization', `Bearer ${token}`);
    return new Exporter({ ...options, url: `http://127.0.0.1:${grpcPort}`, metadata });
  }
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  return new Exporter({ ...options, url: `http://127.0.0.1:${httpPort}${path}`, headers });
}

const resource = resourceFromAttributes({ 'service.name': 'frontend', 'process.pid': 4711 });

async function sendTraces() {
  const processor = new BatchSpanProcessor(await exporter('trace', '/v1/traces', 'OTLPTraceExporter'));
  const provider = new BasicTracerProvider({ resource, spanProcessors: [processor] });
  const tracer = provider.getTracer('shop.js', '0.9');
  const earlier = tracer.startSpan('earlier', {}, ROOT_CONTEXT);
  earlier.end();
  const links = [{ context: earlier.spanContext(), attributes: { why: 'retry' } }];
  const parent = tracer.startSpan('GET /', { kind: SpanKind.SERVER, links }, ROOT_CONTEXT);
  const context = trace.setSpan(ROOT_CONTEXT, parent);
  const child = tracer.startSpan('render', { attributes: { depth: 3, ratio: 0.5, tags: ['a', 'b'] } }, context);
  child.addEvent('painted', { pixels: 640 });
  child.recordException(new TypeError('no such element'));
  child.setStatus({ code: SpanStatusCode.ERROR, message: 'broken page' });
  child.end();
  parent.end();
  await provider.shutdown();
  return context;
}

async function sendLogs(context) {
  const processor = new BatchLogRecordProcessor({
    exporter: await exporter('logs', '/v1/logs', 'OTLPLogExporter'),
  });
  const provider = new LoggerProvider({ resource, processors: [processor] });
  const logger = provider.getLogger('shop.js', '0.9');
  const level = { severityNumber: SeverityNumber.WARN, severityText: 'WARN' };
  logger.emit({ ...level, body: 'slow page', attributes: { ms: 950.5, size: 12, cold: true }, context });
  logger.emit({ ...level, body: { nested: { list: [1, 'two', null], flag: false } }, eventName: 'page.view' });
  logger.emit({ ...level, body: 'bytes', attributes: { raw: new Uint8Array([1, 2, 255]) } });
  for (let number = 0; number < 300; number += 1) {
    logger.emit({ severityNumber: SeverityNumber.DEBUG, body: `tick ${number} \u00e9\u{1f600}` });
  }
  await provider.shutdown();
}

async function sendMetrics() {
  const reader = new PeriodicExportingMetricReader({
    exporter: await exporter('metrics', '/v1/metrics', 'OTLPMetricExporter'),
    exportIntervalMillis: 3_600_000,
  });
  const views = [{ instrumentName: 'paint.exponential', aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } }];
  const provider = new MeterProvider({ resource, readers: [reader], views });
  const meter = provider.getMeter('shop.js', '0.9');
  meter.createCounter('visits', { unit: '{visit}', description: 'Pages shown.' }).add(41, { page: '/' });
  meter.createUpDownCounter('sessions').add(-2);
  meter.createGauge('queue').record(7.25);
  const histogram = meter.createHistogram('paint', { unit: 'ms', advice: { explicitBucketBoundaries: [10, 100] } });
  const exponential = meter.createHistogram('paint.exponential', { unit: 'ms' });
  for (const value of [5, 50, 500]) {
    histogram.record(value);
    exponential.record(value);
  }
  meter.createObservableGauge('heap').addCallback((result) => result.observe(123456789, { kind: 'old' }));
  meter.createObservableCounter('collections').addCallback((result) => result.observe(17));
  await provider.shutdown();
}

await sendLogs(await sendTraces());
await sendMetrics();
if (failures.length > 0) {
  console.error(failures);
  process.exit(1);
}
