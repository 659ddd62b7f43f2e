// Looks at pictures in a real browser: `node check.mjs PICTURE.html…`, see docs/PICTURE.md.
//
// It needs `playwright-core` from npm and a Chromium, which CHROMIUM names. Screenshots and a PDF of
// each picture are written beside it. The exit code is 1 if anything is not as it should be.

import { chromium } from "playwright-core";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: quiet });
let bad = 0;

function expect(holds, what) {
  if (holds) return;
  bad += 1;
  console.log(`  FAILED ${what}`);
}

/** The causal past of an event the slow way, on the data of the page: everything reachable. */
function closure(of) {
  const before = new Map();
  const parents = Array.from({ length: events.length }, (_, nth) => {
    const lane = events.lane[nth];
    if (lane === null) return [];
    const list = [before.get(lane) ?? null, events.cause[nth]].filter((event) => event !== null);
    before.set(lane, nth);
    return list;
  });
  const seen = new Set([of]);
  const open = [of];
  while (open.length > 0) {
    for (const parent of parents[open.pop()]) {
      if (!seen.has(parent)) { seen.add(parent); open.push(parent); }
    }
  }
  const last = causesOf(of);
  return events.lane.every((lane, nth) =>
    lane === null || seen.has(nth) === (nth <= last[lane]));
}

for (const file of process.argv.slice(2)) {
  console.log(file);
  for (const colorScheme of ["light", "dark"]) {
    const page = await browser.newPage({ viewport: { width: 1400, height: 850 }, colorScheme });
    const shot = (name) => page.screenshot({ path: `${file}.${colorScheme}-${name}.png` });
    page.on("console", (message) => {
      // The measurement below reads pixels back, of which the browser warns.
      if (/willReadFrequently/.test(message.text())) return;
      expect(false, `the console is quiet: ${message.text()}`);
    });
    page.on("pageerror", (error) => expect(false, `no error: ${error.message}`));
    page.on("request", (request) =>
      expect(/^(file|data):/.test(request.url()), `no network: ${request.url()}`));
    await page.goto(pathToFileURL(resolve(file)).href);
    await page.waitForTimeout(300);
    await shot("1-whole");

    const box = await page.locator("#diagram").boundingBox();
    const nodes = () => page.locator("#nodes").innerText();
    const range = () => page.evaluate(() => view.until - view.from);
    const [whole, atEnd] = [await range(), await nodes()];
    await page.locator("#slider").fill("0");
    expect((await nodes()) !== atEnd, "the slider moves the nodes");
    const middle = [box.x + box.width / 2, box.y + box.height / 2];
    await page.mouse.move(...middle);
    for (let turn = 0; turn < 12; turn += 1) await page.mouse.wheel(0, -150);
    await page.waitForTimeout(100);
    expect((await range()) < whole / 20, "the wheel zooms");
    await shot("2-near");
    const from = await page.evaluate(() => view.from);
    await page.mouse.down();
    await page.mouse.move(middle[0] - 120, middle[1], { steps: 5 });
    await page.mouse.up();
    expect((await page.evaluate(() => view.from)) > from, "dragging pans");

    // A message in the middle of the run, where the page itself says that it lies.
    const at = await page.evaluate(() => {
      const nth = messages.findLastIndex((m) => m.end < run.end * 0.6 && m.fate === "received");
      show(messages[nth].start - 1e7, messages[nth].end + 1e7);
      const drawing = new Drawing(canvas.getContext("2d"), place, view, shown);
      const [x1, y1, x2, y2] = drawing.ends(messages[nth]);
      return { nth, x: x1 + (x2 - x1) * 0.1, y: y1 + (y2 - y1) * 0.1 };
    });
    await page.mouse.move(box.x + at.x, box.y + at.y);
    const tip = await page.locator("#tip").innerText();
    expect(/ → S\d+: \w+, term \d+/.test(tip), `a tip on a message: ${tip}`);
    await shot("3-tip");
    await page.mouse.click(box.x + at.x, box.y + at.y);
    expect((await page.evaluate(() => selected)) !== null, "a click selects");
    await page.keyboard.press("c");
    expect((await page.evaluate(() => onlyCauses)) === true, "c shows only causes");
    await page.evaluate(() => whole());
    await page.waitForTimeout(100);
    await shot("4-causes");
    await page.keyboard.press("Escape");
    await page.keyboard.press("v");
    await page.waitForTimeout(100);
    await shot("5-violation");
    if (await page.evaluate(() => onlyCauses)) await page.keyboard.press("c");
    const event = await page.evaluate(() => current);
    await page.keyboard.press("ArrowLeft");
    expect((await page.evaluate(() => current)) === Math.max(0, event - 1), "keys step");

    const same = await page.evaluate(`(() => { const closure = ${closure};
      const some = Array.from({ length: 40 }, (_, nth) => Math.floor((nth * events.length) / 40));
      return some.every(closure); })()`);
    expect(same, "the causes are those of the slow way");
    const told = await page.evaluate(() => run.violation === null || run.violation.causes.every(
      (last, lane) => (last ?? -1) === causesOf(run.violation.event)[lane]));
    expect(told, "the causes of the violation are those of the simulator");
    const frames = await page.evaluate(() => {
      const times = [];
      for (let nth = 0; nth < 60; nth += 1) {
        const part = 1 / (1 + (nth % 30));
        Object.assign(view, { from: run.end * (1 - part) * 0.5, until: run.end * (1 + part) * 0.5 });
        const start = performance.now();
        paint(canvas.parentElement.clientWidth, devicePixelRatio);
        canvas.getContext("2d").getImageData(0, 0, 1, 1);
        times.push(performance.now() - start);
      }
      return times.sort((a, b) => a - b);
    });
    const counts = await page.evaluate(() => `${events.length} events, ${messages.length} messages`);
    const [median, worst] = [frames[30], frames[59]].map((time) => time.toFixed(1));
    console.log(`  ${colorScheme}: ${counts}, a frame takes ${median} ms, at most ${worst} ms`);
    await page.locator("summary").click();
    await page.evaluate(() => whole());
    if (colorScheme === "light") {
      await page.pdf({ path: `${file}.pdf`, preferCSSPageSize: true });
    }
    await page.setViewportSize({ width: 700, height: 900 });
    await page.waitForTimeout(150);
    await shot("6-narrow");
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    expect(!wide, "nothing is wider than a narrow window");
    await page.close();
  }
}
await browser.close();
console.log(bad === 0 ? "all is well" : `${bad} failures`);
process.exit(bad === 0 ? 0 : 1);
