// Node's fetch (undici), and node:http2.
import http2 from 'node:http2';

const big = 10 << 20;
const [verb, ...args] = process.argv.slice(2);
const text = async (url, more) => (await fetch(url, more)).text();
const done = (name, ok, got) => console.log((ok ? 'ok ' : 'WRONG ') + name, ok ? '' : String(got).slice(0, 200));

async function all(secure, plain, six, onlySix) {
  for (const [name, base] of [['https', secure], ['http', plain], ['both', six], ['six', onlySix]]) {
    const got = await text(base + '/hello');
    done(name, got === 'hello from ' + base.split('/')[2], got);
  }
  for (const [name, base] of [['', secure], ['http-', plain]]) {
    let got = await text(base + '/redirect');
    done(name + 'redirect', got === 'hello from other.example', got);
    got = await (await fetch(base + '/big')).arrayBuffer();
    done(name + 'down', got.byteLength === big, got.byteLength);
    got = await text(base + '/take', {method: 'POST', body: new Uint8Array(big)});
    done(name + 'up', got === 'took ' + big, got);
    got = await text(base + '/chunks');
    done(name + 'chunks', got.startsWith('chunk 0\n') && got.endsWith('chunk 4\n'), got);
    got = await text(base + '/gzip');
    done(name + 'gzip', got === 'small', got);
    got = await text(base + '/query?a=1;b=%zz&c');
    done(name + 'query', got === '/query?a=1;b=%zz&c', got);
    got = await Promise.all(Array.from({length: 50}, () => text(base + '/hello')));
    done(name + 'fifty', got.every((g) => g.startsWith('hello from ')), got);
    got = await text(base + '/events');
    done(name + 'events', got.split('data: ').length === 6, got);
  }
  const session = http2.connect(secure);
  const stream = session.request({':path': '/version'});
  let got = '';
  for await (const part of stream) got += part;
  session.close();
  done('http2', got === 'HTTP/2.0', got);
}

// undici closes what is silent for 4 seconds unless the server says how long it may be; the agent of node:https doesn't.
async function idle(seconds, ...bases) {
  const {Agent: Secure, get: getSecure} = await import('node:https');
  const {Agent, get} = await import('node:http');
  const agents = [new Secure({keepAlive: true, maxSockets: 1}), new Agent({keepAlive: true, maxSockets: 1})];
  const ask = (url) => new Promise((resolve, reject) => {
    const secure = url.startsWith('https');
    (secure ? getSecure : get)(url, {agent: agents[secure ? 0 : 1]}, async (r) => {
      let body = '';
      for await (const part of r) body += part;
      resolve(body);
    }).on('error', reject);
  });
  const round = async () => {
    const got = [];
    for (const base of bases) got.push(await ask(base + '/connection'));
    return got.join();
  };
  const before = await round();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const after = await round();
  done('idle', before === after, before + ' ' + after);
  agents.forEach((a) => a.destroy());
}

async function hold(url) {
  for await (const part of (await fetch(url)).body) console.log('holds');
}

const get = async (url) => console.log(await text(url));
await {all, idle, hold, get}[verb](...args);
