() => {
  // Every action of the page by one key; keys count where no field has the focus.
  const press = (id) => { const button = document.getElementById(id); if (button && !button.disabled) button.click(); };
  const field = (id) => document.querySelector(`#${id} textarea, #${id} input`);
  const focus = (id) => { const found = field(id); if (found) { found.focus(); if (found.select) found.select(); } };
  const typing = (target) => target.closest('input, textarea, select, [contenteditable="true"], dialog');
  const inTurn = (turn, what) => document.querySelector(`.review-row [data-do="${what}"][data-turn="${turn}"]`);
  const keys = {
    a: () => press('accept'), r: () => focus('reason'), j: () => press('next'), k: () => press('previous'),
    ArrowRight: () => press('next'), ArrowLeft: () => press('previous'), u: () => press('undo'),
    m: () => focus('note'), g: () => focus('domain'), '/': () => focus('words'), i: () => focus('goto'), z: () => zoom(), f: () => choose(),
  };
  const choose = () => {
    if (!field('in-domain')) document.querySelector('#filters button').click();
    const wait = (tries) => { if (field('in-domain')) focus('in-domain'); else if (tries) setTimeout(wait, 50, tries - 1); };
    wait(40);
  };
  let pending = false, editing = false, opening = 0;
  const zoom = () => {
    const image = document.querySelector('.review-row img');
    if (!image) return;
    const dialog = document.createElement('dialog');
    dialog.className = 'review-zoom';
    dialog.tabIndex = 0;
    dialog.setAttribute('aria-label', 'the picture enlarged');
    const large = document.createElement('img');
    large.src = image.src;
    large.alt = image.alt;
    // A large picture in its own size, which scrolls; a small one as large as the window, at most four times its size.
    const fits = Math.min(0.94 * innerWidth / image.naturalWidth, 0.9 * innerHeight / image.naturalHeight, 4);
    let scale = Math.max(1, fits);
    const resize = (factor) => {
      scale = Math.min(8, Math.max(0.25, scale * factor));
      large.width = Math.round(image.naturalWidth * scale);
    };
    resize(1);
    dialog.append(large);
    dialog.addEventListener('click', () => dialog.close());
    dialog.addEventListener('keydown', (event) => {
      if (event.key === 'z') dialog.close();
      if (event.key === '+' || event.key === '=') resize(1.5);
      if (event.key === '-') resize(1 / 1.5);
      event.stopPropagation();
    });
    dialog.addEventListener('close', () => dialog.remove());
    document.querySelector('.gradio-container').append(dialog);
    dialog.showModal();
  };
  document.addEventListener('click', (event) => { if (event.target.closest('.review-row .zoom')) zoom(); });
  document.addEventListener('keydown', (event) => {
    const target = event.target;
    if (event.key === 'Escape') { if (document.getElementById('cancel') && target.closest('#edit')) press('cancel'); target.blur(); return; }
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && target.closest('#edit')) { event.preventDefault(); press('save'); return; }
    if (event.key === 'Enter' && target.closest('#reason, #note, #words, #goto, #domain')) { setTimeout(() => target.blur(), 0); return; }
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || typing(target)) return;
    if (Date.now() < opening) return;  // what is typed while the editor opens is no command
    if (/^[1-9]$/.test(event.key)) {
      const choice = ['left', 'tie', 'right'][event.key - 1];
      if (document.getElementById('left')) { if (choice) press(choice); return; }
      const turn = event.key - 1;
      const button = pending ? inTurn(turn - turn % 2, 'delete') : inTurn(turn, 'edit');
      if (button && !pending) opening = Date.now() + 1500;
      pending = false;
      if (button) { event.preventDefault(); button.click(); }
      return;
    }
    pending = event.key === 'd';
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  // The editor takes the focus when it opens.
  new MutationObserver(() => {
    const box = field('text');
    const open = Boolean(box && box.offsetParent !== null);
    if (open && !editing) { opening = 0; setTimeout(() => field('text') && field('text').focus(), 0); }
    editing = open;
  }).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ['class', 'style'] });
}
