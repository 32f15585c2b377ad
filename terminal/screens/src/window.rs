//! A window for a device: shows its screens, sounds its tones, sends it keys and touches.
//!
//! The device runs on a thread of its own and never waits for the window.

use std::{
    num::NonZeroU32,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread,
};

use egui::{Modifiers, PointerButton, Pos2, pos2};
use softbuffer::{Context, Surface};
use terminal::{
    machine::{Action, Digit, Key, Screen},
    run::{self, Lines},
};
use winit::{
    application::ApplicationHandler,
    dpi::{LogicalSize, PhysicalPosition, PhysicalSize},
    event::{ElementState, KeyEvent, MouseButton, Touch, TouchPhase, WindowEvent},
    event_loop::{ActiveEventLoop, EventLoop, OwnedDisplayHandle},
    keyboard::{Key as Pressed, NamedKey},
    window::{Fullscreen, Window, WindowId},
};

use crate::{Canvas, FontError, HEIGHT, Language, WIDTH, tone::Speaker};

/// Why there is no window.
#[derive(Debug, thiserror::Error)]
pub enum WindowError {
    /// No font.
    #[error(transparent)]
    Font(#[from] FontError),
    /// No display.
    #[error(
        "no window: {0}; set DISPLAY to an X11 display with libxkbcommon-x11-0 and libxcursor1 installed \
         (`make setup` does), or run `onecard terminal` without a window"
    )]
    Display(String),
    /// The device's thread is gone.
    #[error("the device ended without a result: this is a mistake of the program, report it")]
    Device,
}

/// How the window looks.
#[derive(Debug, Clone)]
pub struct Look {
    /// Its title.
    pub title: String,
    /// Language that stands first.
    pub language: Language,
    /// Over the whole display, as on a device.
    pub fullscreen: bool,
}

/// What the device's thread tells the window.
enum Notice {
    Show(Box<Screen>),
    Over,
}

/// Opens a window and runs `device` beside it, until the device ends or the window is closed, which
/// sets `stop`. `device` gets the means to send itself lines, the lines, and who watches it.
pub fn open<T: Send + 'static>(
    look: Look,
    stop: &Arc<AtomicBool>,
    device: impl FnOnce(Lines, Receiver<String>, &mut dyn FnMut(&Action)) -> T + Send + 'static,
) -> Result<T, WindowError> {
    let failed = |error: &dyn std::fmt::Display| WindowError::Display(error.to_string());
    let canvas = Canvas::new()?;
    let events = EventLoop::<Notice>::with_user_event();
    let events = { events }.build().map_err(|error| failed(&error))?;
    let display = Context::new(events.owned_display_handle()).map_err(|error| failed(&error))?;
    let proxy = events.create_proxy();
    let (sender, lines) = sync_channel(1);
    let device = thread::spawn(move || {
        let (lines, requests) = run::lines();
        // The window waits for them; it cannot be gone.
        let _sent = sender.send(lines.clone());
        let mut speaker = Speaker::default();
        let result = device(lines, requests, &mut |action| match action {
            Action::Show(screen) => {
                let _window_closed = proxy.send_event(Notice::Show(screen.clone()));
            }
            Action::Sound(tone) => speaker.play(*tone),
            _ => {}
        });
        let _window_closed = proxy.send_event(Notice::Over);
        result
    });
    let lines = lines.recv().map_err(|_| WindowError::Device)?;
    let mut shown = Shown {
        look,
        canvas,
        display,
        window: None,
        screen: None,
        lines,
        stop: stop.clone(),
        pointer: pos2(0.0, 0.0),
        events: Vec::new(),
        failure: None,
    };
    let ended = events.run_app(&mut shown);
    stop.store(true, Ordering::Relaxed);
    let failure = shown.failure.take();
    // Without the window's end of the lines: the device may be waiting for their end.
    drop(shown);
    device.thread().unpark();
    let result = device.join().map_err(|_| WindowError::Device)?;
    match (ended, failure) {
        (Ok(()), None) => Ok(result),
        (Err(error), _) => Err(failed(&error)),
        (_, Some(error)) => Err(WindowError::Display(error)),
    }
}

type Drawn = Surface<OwnedDisplayHandle, Rc<Window>>;

/// The window at work.
struct Shown {
    look: Look,
    canvas: Canvas,
    display: Context<OwnedDisplayHandle>,
    window: Option<(Rc<Window>, Drawn)>,
    screen: Option<Box<Screen>>,
    lines: Lines,
    stop: Arc<AtomicBool>,
    pointer: Pos2,
    /// Touches since the last frame.
    events: Vec<egui::Event>,
    failure: Option<String>,
}

impl Shown {
    fn create(&self, active: &ActiveEventLoop) -> Result<(Rc<Window>, Drawn), String> {
        let size = LogicalSize::new(f64::from(WIDTH), f64::from(HEIGHT));
        let attributes = Window::default_attributes()
            .with_title(&self.look.title)
            .with_inner_size(size)
            .with_fullscreen(self.look.fullscreen.then_some(Fullscreen::Borderless(None)));
        let window = active
            .create_window(attributes)
            .map_err(|e| e.to_string())?;
        let window = Rc::new(window);
        let surface = Surface::new(&self.display, window.clone()).map_err(|e| e.to_string())?;
        Ok((window, surface))
    }

    fn draw(&mut self) -> Result<(), String> {
        let (Some((window, surface)), Some(screen)) = (&mut self.window, &self.screen) else {
            return Ok(());
        };
        let PhysicalSize { width, height } = window.inner_size();
        let (Some(across), Some(down)) = (NonZeroU32::new(width), NonZeroU32::new(height)) else {
            return Ok(());
        };
        surface.resize(across, down).map_err(|e| e.to_string())?;
        let size = (width as usize, height as usize);
        let events = std::mem::take(&mut self.events);
        let touched = !events.is_empty();
        let frame = self.canvas.draw(screen, self.look.language, size, events);
        let mut buffer = surface.buffer_mut().map_err(|e| e.to_string())?;
        for (to, [r, g, b]) in buffer.iter_mut().zip(frame.picture.pixels) {
            *to = u32::from_be_bytes([0, r, g, b]);
        }
        buffer.present().map_err(|e| e.to_string())?;
        frame
            .pressed
            .into_iter()
            .for_each(|key| self.lines.press(key));
        // A key that is held down looks different in the frame after the touch.
        if touched {
            window.request_redraw();
        }
        Ok(())
    }

    fn redraw(&self) {
        if let Some((window, _)) = &self.window {
            window.request_redraw();
        }
    }

    fn move_to(&mut self, at: PhysicalPosition<f64>) {
        let size = self.window.as_ref().map(|(window, _)| window.inner_size());
        let size = size.unwrap_or_default();
        let scale = Canvas::scale(size.width as usize, size.height as usize);
        self.pointer = pos2(at.x as f32 / scale, at.y as f32 / scale);
        self.events.push(egui::Event::PointerMoved(self.pointer));
    }

    fn press(&mut self, pressed: bool) {
        self.events.push(egui::Event::PointerButton {
            pos: self.pointer,
            button: PointerButton::Primary,
            pressed,
            modifiers: Modifiers::NONE,
        });
        self.redraw();
    }
}

impl ApplicationHandler<Notice> for Shown {
    fn resumed(&mut self, active: &ActiveEventLoop) {
        if self.window.is_none() {
            match self.create(active) {
                Ok(window) => self.window = Some(window),
                Err(error) => {
                    self.failure = Some(error);
                    active.exit();
                }
            }
        }
    }

    fn user_event(&mut self, active: &ActiveEventLoop, notice: Notice) {
        match notice {
            Notice::Show(screen) => {
                self.screen = Some(screen);
                self.redraw();
            }
            Notice::Over => active.exit(),
        }
    }

    fn window_event(&mut self, active: &ActiveEventLoop, _: WindowId, event: WindowEvent) {
        match event {
            WindowEvent::CloseRequested => {
                self.stop.store(true, Ordering::Relaxed);
                active.exit();
            }
            WindowEvent::RedrawRequested => {
                if let Err(error) = self.draw() {
                    self.failure = Some(error);
                    active.exit();
                }
            }
            WindowEvent::Resized(_) => self.redraw(),
            WindowEvent::CursorMoved { position, .. } => self.move_to(position),
            WindowEvent::MouseInput {
                state,
                button: MouseButton::Left,
                ..
            } => {
                self.press(state == ElementState::Pressed);
            }
            WindowEvent::Touch(Touch {
                phase, location, ..
            }) => {
                self.move_to(location);
                match phase {
                    TouchPhase::Started => self.press(true),
                    TouchPhase::Ended | TouchPhase::Cancelled => self.press(false),
                    TouchPhase::Moved => {}
                }
            }
            WindowEvent::KeyboardInput { event, .. } => {
                if let Some(key) = key(&event) {
                    self.lines.press(key);
                }
            }
            _ => {}
        }
    }
}

/// F1 to F10 are the screen's own keys.
fn key(event: &KeyEvent) -> Option<Key> {
    if event.state != ElementState::Pressed {
        return None;
    }
    match &event.logical_key {
        Pressed::Named(NamedKey::Enter) => Some(Key::Enter),
        Pressed::Named(NamedKey::Backspace) => Some(Key::Delete),
        Pressed::Named(NamedKey::Escape) => Some(Key::Cancel),
        Pressed::Named(named) => soft(*named).map(Key::Soft),
        Pressed::Character(text) => {
            let digit = text.parse().ok().and_then(Digit::new);
            digit.map(Key::Digit)
        }
        _ => None,
    }
}

fn soft(named: NamedKey) -> Option<u8> {
    const KEYS: [NamedKey; 10] = [
        NamedKey::F1,
        NamedKey::F2,
        NamedKey::F3,
        NamedKey::F4,
        NamedKey::F5,
        NamedKey::F6,
        NamedKey::F7,
        NamedKey::F8,
        NamedKey::F9,
        NamedKey::F10,
    ];
    let place = KEYS.iter().position(|key| *key == named)?;
    u8::try_from(place).ok()
}
