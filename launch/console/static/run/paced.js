/** Doing something again and again while news come in bursts, or without end: neither at each, nor never. */

/**
 * Call `fn` a while after it is asked for; what is asked for meanwhile asks for one more call after that.
 * @param {() => Promise<void>} fn it is never called again before it is done
 * @param {number} every so long after the first ask, and between two calls [ms]
 * @returns {{ask: () => void, end: () => void}}
 */
export function paced(fn, every) {
  let timer = 0;
  let again = false;
  let ended = false;
  const ask = () => {
    if (timer || ended) {
      again = true;
      return;
    }
    timer = setTimeout(async () => {
      again = false;
      try {
        await fn();
      } finally {
        timer = 0;
        if (again) ask();
      }
    }, every);
  };
  return {
    ask,
    end() {
      ended = true;
      clearTimeout(timer);
    },
  };
}
