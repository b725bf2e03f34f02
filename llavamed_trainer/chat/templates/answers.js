// for each box of answers: its end stays in sight while it grows, and its buttons copy
let atEnd = true, top = 0;
element.addEventListener('scroll', ({ target }) => {
  top = target.scrollTop;
  atEnd = target.scrollHeight - top - target.clientHeight < 20;
}, true);
new MutationObserver(() => {
  const talk = element.querySelector('.talk');
  if (talk) talk.scrollTop = atEnd ? talk.scrollHeight : top;
}).observe(element, { childList: true, subtree: true });
element.addEventListener('click', async ({ target }) => {
  const button = target.closest('button.copy');
  if (!button) return;
  const text = button.parentElement.querySelector('p').textContent;
  if (navigator.clipboard) await navigator.clipboard.writeText(text);
  else {  // a page that is not served by https or to its own machine
    const area = document.createElement('textarea');
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
  button.textContent = 'Copied';
  setTimeout(() => { button.textContent = 'Copy'; }, 1500);
});
