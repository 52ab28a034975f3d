// Sets the theme before the first paint: the choice made in the header, else
// what the system prefers, also when that changes later.
;(function () {
  var light = matchMedia('(prefers-color-scheme: light)')
  function apply() {
    var choice = null
    try {
      choice = localStorage.getItem('theme')
    } catch (e) {
      // Storage may be forbidden; then the system decides.
    }
    if (choice !== 'dark' && choice !== 'light') choice = light.matches ? 'light' : 'dark'
    document.documentElement.dataset.theme = choice
  }
  apply()
  light.addEventListener('change', apply)
  addEventListener('themechoice', apply)
})()
