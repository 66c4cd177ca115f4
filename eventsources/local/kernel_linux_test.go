package local

const hasAbstract, tellsProcess = true, true
