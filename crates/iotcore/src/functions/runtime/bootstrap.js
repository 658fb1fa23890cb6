// Runs one invocation of a Node function: context and event on standard input, the answer on descriptor 3.
//
// Nothing but Node's own modules. The answer is one line: R or E, then JSON.
'use strict';
const fs = require('fs');
const path = require('path');
const url = require('url');

const input = fs.readFileSync(0);
const end = input.indexOf(10);
const values = JSON.parse(input.subarray(0, end).toString('utf8'));
const event = input.subarray(end + 1).toString('utf8');
let answered = false;

function answer(kind, text) {
  if (answered) return;
  answered = true;
  const bytes = Buffer.from(kind + text + '\n', 'utf8');
  for (let at = 0; at < bytes.length; ) at += fs.writeSync(3, bytes, at);
  process.exit(0);
}

function fail(error, kind) {
  const isError = error instanceof Error;
  const report = {
    errorType: kind || (isError ? error.name : typeof error),
    errorMessage: isError ? error.message : String(error),
    trace: isError && error.stack ? error.stack.split('\n') : [],
  };
  console.error('ERROR\t' + (kind ? kind + ': ' : '') + (isError && error.stack ? error.stack : report.errorMessage));
  answer('E', JSON.stringify(report));
}

function done(result) {
  let text;
  try {
    text = JSON.stringify(result === undefined ? null : result);
  } catch (error) {
    return fail(error, 'Runtime.MarshalError');
  }
  answer('R', text === undefined ? 'null' : text);
}

const context = {
  functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
  functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
  invokedFunctionArn: values.arn,
  memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
  awsRequestId: values.request,
  logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
  logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
  identity: undefined,
  clientContext: undefined,
  callbackWaitsForEmptyEventLoop: true,
  getRemainingTimeInMillis: () => Math.max(0, values.deadline - Date.now()),
  done: (error, result) => (error ? fail(error) : done(result)),
  fail: (error) => fail(error),
  succeed: (result) => done(result),
};

process.on('uncaughtException', (error) => fail(error, 'Runtime.UnhandledException'));
process.on('unhandledRejection', (error) => fail(error, 'Runtime.UnhandledPromiseRejection'));
process.on('beforeExit', () => done(null));

async function load(name) {
  const file = path.basename(name);
  const dot = file.indexOf('.');
  if (dot < 1) throw Object.assign(new Error('Bad handler'), { kind: 'Runtime.MalformedHandlerName' });
  const base = path.join(process.cwd(), path.dirname(name), file.slice(0, dot));
  const found = ['.js', '.mjs', '.cjs'].map((suffix) => base + suffix).find((candidate) => fs.existsSync(candidate));
  if (!found) {
    const message = `Cannot find module '${path.basename(base)}'`;
    throw Object.assign(new Error(message), { kind: 'Runtime.ImportModuleError' });
  }
  const module = await import(url.pathToFileURL(found).href);
  const pick = (from) => file.slice(dot + 1).split('.').reduce((at, key) => (at == null ? at : at[key]), from);
  const handler = pick(module) || pick(module.default);
  if (typeof handler !== 'function') {
    throw Object.assign(new Error(`${name} is undefined or not exported`), { kind: 'Runtime.HandlerNotFound' });
  }
  return handler;
}

(async () => {
  let handler;
  try {
    handler = await load(process.env._HANDLER);
  } catch (error) {
    const kind = error instanceof SyntaxError ? 'Runtime.UserCodeSyntaxError' : undefined;
    return fail(error, (error && error.kind) || kind);
  }
  try {
    const result = handler(JSON.parse(event), context, (error, value) => (error ? fail(error) : done(value)));
    if (result && typeof result.then === 'function') done(await result);
  } catch (error) {
    fail(error);
  }
})();
