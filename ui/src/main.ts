// The page starts here.

import { mount } from 'svelte'

import 'uplot/dist/uPlot.min.css'
import './app.css'

import App from './App.svelte'

const target = document.getElementById('page')
if (!target) throw new Error('index.html has no element with the id "page"')
mount(App, { target })
