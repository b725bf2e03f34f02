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
    if (!field('in-domain')) { opening = Date.now() + 2000; document.querySelector('#filters button').click(); }
    const wait = (tries) => {
      if (field('in-domain')) { opening = 0; focus('in-domain'); } else if (tries) setTimeout(wait, 50, tries - 1);
    };
    wait(40);
  };
  const isShown = (id) => { const box = field(id); return Boolean(box && box.offsetParent !== null); };
  const shown = () => document.querySelector('.review-row')?.dataset.shown ?? '';
  let pending = false, editing = false, opening = 0, chosen = null;
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
  // One action after the other: a press that comes before the answer to the one before does nothing, and is told.
  let busyUntil = 0, answers = -1, ignoredBefore = 0, ignored = 0;
  const begin = () => { busyUntil = Date.now() + 10000; sent = shown(); };
  const isTooEarly = (event) => {
    if (Date.now() >= busyUntil) return false;
    event.preventDefault();
    event.stopImmediatePropagation();
    ignored += 1;
    tellIgnored();
    return true;
  };
  const answer = (element) => {  // the row and the line of an answer come one after the other, and have its number
    const number = Number(element?.dataset.answer ?? -1);
    if (number <= answers) return;
    answers = number;
    busyUntil = 0;
    ignoredBefore = ignored;
    ignored = 0;
  };
  const tellIgnored = () => {
    const status = document.getElementById('status'), count = ignoredBefore + ignored;
    const note = status.querySelector('.ignored') ?? status.appendChild(document.createElement('p'));
    note.className = 'ignored';
    note.setAttribute('aria-live', 'polite');
    const said = count === 1 ? 'One press was ignored, as it' : `${count} presses were ignored, as they`;
    note.textContent = count ? `${said} came before the answer to the one before.` : '';
  };
  document.addEventListener('click', (event) => {
    const action = event.target.closest('.actions button');
    if (action && event.detail) action.blur();  // else Enter would do the same to the next row
    if (action || event.target.closest('.review-row [data-do]')) {
      if (isTooEarly(event)) return;
      if (event.target.closest('#reject')) take(field('reason'));
      begin();
    }
    if (event.target.closest('#apply')) sent = shown();
    if (event.target.closest('.review-row .zoom')) zoom();
    if (event.target.closest('[data-do="edit"]')) opening = Date.now() + 10000;
  }, true);
  // A reason and a note are about the row that was shown when they were begun, and go with it. What is begun while an
  // answer is on its way is about the row that comes with the answer.
  const texts = ['reason', 'note'];
  const isText = (box) => texts.some((id) => box.closest(`#${id}`));
  let last = null, answered = null, sent = '';
  // Gradio asks for the text some time after the press: by then the next one may be in the field.
  const take = (box) => { box.dataset.taken = box.value; box.dataset.of = box.dataset.shown || shown(); };
  document.addEventListener('beforeinput', (event) => {
    const box = event.target;
    if (isText(box) && box.selectionStart === 0 && box.selectionEnd === box.value.length) box.dataset.shown = '';
  });
  document.addEventListener('input', (event) => {
    const box = event.target;
    if (!event.isTrusted && !box.value) return;  // it was emptied when its text was sent
    if (isText(box) && shown() !== sent) box.dataset.shown = box.value ? shown() : '';
    if (box.closest('#reviewer')) {
      const given = document.getElementById('reviewer').dataset.given;
      try { localStorage.setItem('llavamed-reviewer', JSON.stringify({ given, name: box.value })); } catch { /* it is not kept */ }
    }
  });
  document.addEventListener('keydown', (event) => {
    const target = event.target;
    if (event.key === 'Escape') { if (document.getElementById('cancel') && target.closest('#edit')) press('cancel'); target.blur(); return; }
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && target.closest('#edit')) { event.preventDefault(); press('save'); return; }
    if (event.key === 'Enter' && target.closest('#domain')) {  // the list of choices has to close before its field is left
      chosen = target;
      setTimeout(() => { target.blur(); chosen = null; }, 0);
      return;
    }
    if (target === chosen) target.blur();  // this key came before the timer
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || (target !== chosen && typing(target))) return;
    if (Date.now() < opening) { event.preventDefault(); return; }  // what is typed while a field opens is no command
    if (isShown('text')) {  // nor is what is typed beside it
      if (event.key.length === 1) { event.preventDefault(); field('text').focus(); }
      return;
    }
    if (/^[1-9]$/.test(event.key)) {
      const choice = ['left', 'tie', 'right'][event.key - 1];
      if (document.getElementById('left')) { if (choice) press(choice); return; }
      const turn = event.key - 1;
      const button = pending ? inTurn(turn - turn % 2, 'delete') : inTurn(turn, 'edit');
      pending = false;
      if (button) { event.preventDefault(); button.click(); }
      return;
    }
    pending = event.key === 'd';
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  // Enter leaves its field before the next key comes, which is a command: no timer, as that may come later than the key.
  document.addEventListener('keypress', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || !event.target.closest('#reason, #note') || isTooEarly(event)) return;
    take(event.target);
    begin();
  }, true);
  document.addEventListener('keypress', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || !event.target.closest('#reason, #note, #words, #goto, #reviewer')) return;
    if (event.target.closest('#words, #goto')) sent = shown();
    event.target.blur();
  });
  // The editor takes the focus when it opens.
  new MutationObserver(() => {
    const open = isShown('text');
    if (open && !editing) { opening = 0; setTimeout(() => field('text') && field('text').focus(), 0); }
    editing = open;
  }).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ['class', 'style'] });
  // Another row is seen from its top, and has no reason or note that was begun for the row before.
  const onAnswer = () => {
    const row = document.querySelector('.review-row');
    const name = row && row.getAttribute('aria-label');
    answer(document.querySelector('#row [data-answer]'));
    if (last !== null && name !== last) {
      for (const box of texts.map(field)) {
        if (box && box.dataset.shown) { box.value = ''; box.dataset.shown = ''; box.dispatchEvent(new Event('input', { bubbles: true })); }
      }
      const top = document.getElementById('row');
      if (top.getBoundingClientRect().top < 0) top.scrollIntoView({ block: 'start' });
    }
    last = name;
  };
  new MutationObserver(onAnswer).observe(document.getElementById('row'), { childList: true, subtree: true, attributes: true, attributeFilter: ['data-answer'] });
  new MutationObserver(() => {
    const status = document.getElementById('status');
    const line = status.querySelector('.review-status');
    if (!line || line.dataset.answer === answered) return;
    answered = line.dataset.answer;
    sent = '';
    for (const box of texts.map(field)) if (box && box.value && !box.dataset.shown) box.dataset.shown = shown();
    answer(line);
    tellIgnored();
    if (!status.textContent.includes('being edited')) opening = 0;
    const back = status.querySelector('[data-field]');
    if (!back) return;
    const box = field(back.dataset.field);
    if (box && !box.value && back.dataset.text) {
      box.value = back.dataset.text;
      box.dataset.shown = shown();
      box.dispatchEvent(new Event('input', { bubbles: true }));
    }
    back.remove();
  }).observe(document.getElementById('status'), { childList: true, subtree: true, attributes: true, attributeFilter: ['data-answer'] });
}
